import Foundation

/// The flow of Apple's and the service's registration, as a state machine without time, network or system: events in,
/// effects out. `Registrar` carries the effects out.
///
/// - At each launch the system is asked for the token, and whatever it gives is forwarded.
/// - The flag that forwarding is owed is set before the first attempt and taken back when the service has it: what
///   fails is done later, at the latest at the next launch. The token itself is kept in memory alone.
/// - A registration token that is refused is fetched anew once; after that it counts as a failure.
/// - Signing out takes the device out of the user's registration, with the token of this launch.
public struct Machine: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
        /// Nobody is signed in, or nothing was begun.
        case idle
        /// The system was asked for the token.
        case asking
        /// The service is being told.
        case forwarding
        /// The service has it.
        case registered
        /// It failed, and will be tried again.
        case waiting(failures: Int)
        /// It failed for good in this launch: the system or the service said why.
        case failed(Failure)
        /// The device is being taken out.
        case leaving
    }

    public enum Failure: Sendable, Equatable {
        case system(String)
        case service(status: Int, code: Int?, detail: String?)
    }

    public enum Event: Sendable, Equatable {
        /// The app was launched, or somebody signed in.
        case start
        /// The app came to the foreground, or there is a network again.
        case wake
        case token(DeviceToken)
        case systemFailed(String)
        /// What the service said to forwarding this token.
        case answered(DeviceToken, Answer)
        /// The time that `retry` named is over.
        case retryDue
        case signOut
        case removed(Answer)
        /// Signing out took too long: the system gives no token without a network.
        case signOutExpired
    }

    public enum Effect: Sendable, Equatable {
        /// `registerForRemoteNotifications`.
        case askSystem
        /// Tell the service.
        case forward(DeviceToken)
        /// Come back with `retryDue` after so many failures.
        case retry(failures: Int, asked: TimeInterval?)
        /// Whether forwarding is owed: the one thing that is stored.
        case owe(Bool)
        /// Take the device out; without a registration it has to be told first which one that is.
        case remove(DeviceToken, registration: String?)
        /// Signing out is over; false when the service could not be told.
        case signedOut(Bool)
    }

    public private(set) var phase = Phase.idle
    /// Kept for this launch alone.
    private var token: DeviceToken?
    private var registration: String?
    private var failures = 0
    private var triedFresh = false
    private var wantsOut = false
    private var wantsIn = false

    public init() {}

    /// What is to be done because of an event.
    public mutating func handle(_ event: Event) -> [Effect] {
        switch event {
        case .start:
            return start()
        case .wake:
            return wake()
        case .token(let given):
            return took(given)
        case .systemFailed(let why):
            return systemFailed(why)
        case .answered(let given, let answer):
            return answered(given, answer)
        case .retryDue:
            return retryDue()
        case .signOut:
            return signOut()
        case .removed(let answer):
            return removed(answer)
        case .signOutExpired:
            return wantsOut ? left(false) : []
        }
    }

    private mutating func start() -> [Effect] {
        if wantsOut {  // somebody else signs in while the one before is still being taken out
            wantsIn = true
            return []
        }
        failures = 0
        triedFresh = false
        phase = .asking
        return [.owe(true), .askSystem]
    }

    private mutating func wake() -> [Effect] {
        switch phase {
        case .waiting:
            return retryDue()
        case .failed(.system):
            phase = .asking
            return [.askSystem]
        default:
            return []
        }
    }

    private mutating func took(_ given: DeviceToken) -> [Effect] {
        if wantsOut, phase != .asking { return [] }
        token = given
        if wantsOut {
            phase = .leaving
            return [.remove(given, registration: registration)]
        }
        guard phase != .idle else { return [] }
        phase = .forwarding
        return [.owe(true), .forward(given)]
    }

    private mutating func systemFailed(_ why: String) -> [Effect] {
        guard phase == .asking else { return [] }
        if wantsOut { return left(false) }
        phase = .failed(.system(why))
        return [.owe(true)]
    }

    private mutating func answered(_ given: DeviceToken, _ answer: Answer) -> [Effect] {
        guard phase == .forwarding, given == token else { return [] }  // the system gave another one meanwhile
        if case .done(let made) = answer { registration = made }
        if wantsOut {
            phase = .leaving
            return [.remove(given, registration: registration)]
        }
        switch answer {
        case .done:
            phase = .registered
            failures = 0
            triedFresh = false
            return [.owe(false)]
        case .unauthorised where !triedFresh:
            triedFresh = true
            return [.forward(given)]
        case .unauthorised:
            return failed(asked: nil)
        case .later(let asked):
            return failed(asked: asked)
        case .refused(let status, let code, let detail):
            phase = .failed(.service(status: status, code: code, detail: detail))
            return []  // the flag stays: the next launch, perhaps of another version, tries again
        }
    }

    private mutating func failed(asked: TimeInterval?) -> [Effect] {
        failures += 1
        triedFresh = false
        phase = .waiting(failures: failures)
        return [.retry(failures: failures, asked: asked)]
    }

    private mutating func retryDue() -> [Effect] {
        guard case .waiting = phase, !wantsOut, let token else { return [] }
        phase = .forwarding
        return [.forward(token)]
    }

    private mutating func signOut() -> [Effect] {
        guard !wantsOut else { return [] }
        guard phase != .idle else { return [.owe(false), .signedOut(true)] }
        wantsOut = true
        if phase == .forwarding { return [.owe(false)] }  // its answer first: it must not arrive after the removal
        guard let token else {
            phase = .asking
            return [.owe(false), .askSystem]
        }
        phase = .leaving
        return [.owe(false), .remove(token, registration: registration)]
    }

    private mutating func removed(_ answer: Answer) -> [Effect] {
        guard phase == .leaving else { return [] }
        switch answer {
        case .done, .refused(status: 404, _, _):  // gone already is gone
            return left(true)
        default:
            return left(false)
        }
    }

    private mutating func left(_ done: Bool) -> [Effect] {
        let next = wantsIn
        self = Machine(token: token)
        return [.signedOut(done)] + (next ? start() : [])
    }

    private init(token: DeviceToken?) {
        self.token = token
    }
}
