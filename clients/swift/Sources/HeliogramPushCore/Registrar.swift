import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Carries a request to the service. Give your own for tests.
public protocol Transport: Sendable {
    /// The status, the body and `Retry-After` of the answer. Throws when there was none.
    func send(_ request: URLRequest) async throws -> (status: Int, body: Data, retryAfter: String?)
}

/// The one thing that is stored between launches: whether the service still has to be told.
public protocol OweFlag: Sendable {
    var isSet: Bool { get }
    func set(_ owed: Bool)
}

/// The flag in the app's defaults.
public struct DefaultsFlag: OweFlag, @unchecked Sendable {  // UserDefaults is safe to use from any thread
    private let defaults: UserDefaults
    private let key: String

    public init(_ defaults: UserDefaults = .standard, key: String = "heliogram.needs-forwarding") {
        self.defaults = defaults
        self.key = key
    }

    public var isSet: Bool { defaults.bool(forKey: key) }
    public func set(_ owed: Bool) { defaults.set(owed, forKey: key) }
}

/// URLSession without a cache or cookies.
public struct SessionTransport: Transport {
    private let session: URLSession

    public init(_ session: URLSession = URLSession(configuration: .ephemeral)) {
        self.session = session
    }

    public func send(_ request: URLRequest) async throws -> (status: Int, body: Data, retryAfter: String?) {
        let (body, response) = try await session.data(for: request)
        guard let http = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        return (http.statusCode, body, http.value(forHTTPHeaderField: "Retry-After"))
    }
}

/// Forwards the device token, tries again later, and signs out: `Machine` says what to do, this does it.
public actor Registrar {
    /// A registration token (`hgr_…`) for the user who is signed in, from your own back end. It is asked for each time
    /// and kept nowhere.
    public typealias TokenSource = @Sendable () async throws -> String
    public typealias Sleep = @Sendable (TimeInterval) async throws -> Void

    private let api: RegistrationAPI
    private let app: @Sendable () -> AppDescription
    private let tokens: TokenSource
    private let transport: any Transport
    private let flag: any OweFlag
    private let policy: RetryPolicy
    private let sleep: Sleep
    private let random: @Sendable () -> Double
    private let askSystem: @Sendable () async -> Void
    private let signOutSeconds: TimeInterval
    private var machine = Machine()
    private var retrying: Task<Void, Never>?
    private var expiring: Task<Void, Never>?
    private var leaving: [CheckedContinuation<Bool, Never>] = []

    /// `askSystem` calls `registerForRemoteNotifications`; what the system answers goes to `received` or `systemFailed`.
    public init(
        api: RegistrationAPI, app: @escaping @Sendable () -> AppDescription, tokens: @escaping TokenSource,
        transport: any Transport = SessionTransport(), flag: any OweFlag = DefaultsFlag(),
        policy: RetryPolicy = .standard,
        sleep: @escaping Sleep = { try await Task.sleep(nanoseconds: UInt64($0 * 1_000_000_000)) },
        random: @escaping @Sendable () -> Double = { Double.random(in: 0...1) },
        signOutSeconds: TimeInterval = 20,
        askSystem: @escaping @Sendable () async -> Void
    ) {
        self.api = api
        self.app = app
        self.tokens = tokens
        self.transport = transport
        self.flag = flag
        self.policy = policy
        self.sleep = sleep
        self.random = random
        self.signOutSeconds = signOutSeconds
        self.askSystem = askSystem
    }

    /// Where it is.
    public var phase: Machine.Phase { machine.phase }
    /// Whether the service still has to be told of this device.
    public nonisolated var needsForwarding: Bool { flag.isSet }

    /// At each launch with somebody signed in, and when somebody signs in.
    public func start() async { await handle(.start) }
    /// When the app comes to the foreground: what waits is tried at once.
    public func wake() async { await handle(.wake) }
    /// The system gave the token.
    public func received(_ token: Data) async { await handle(.token(DeviceToken(token))) }
    /// The system could not give one.
    public func systemFailed(_ why: String) async { await handle(.systemFailed(why)) }

    /// Takes this device from the user who is signed in. False when the service could not be told within
    /// `signOutSeconds`: then have your back end remove it. Call it while your back end still gives registration tokens
    /// for that user.
    public func signOut() async -> Bool {
        await withCheckedContinuation { done in
            leaving.append(done)
            guard leaving.count == 1 else { return }  // whoever asks meanwhile gets the same answer
            let effects = machine.handle(.signOut)
            Task { await self.perform(effects) }
            expiring = Task { [sleep, signOutSeconds] in
                guard (try? await sleep(signOutSeconds)) != nil, !Task.isCancelled else { return }
                await self.handle(.signOutExpired)
            }
        }
    }

    private func handle(_ event: Machine.Event) async {
        await perform(machine.handle(event))
    }

    private func perform(_ effects: [Machine.Effect]) async {
        for effect in effects {
            await perform(effect)
        }
    }

    private func perform(_ effect: Machine.Effect) async {
        switch effect {
        case .askSystem:
            await askSystem()
        case .owe(let owed):
            flag.set(owed)
        case .forward(let token):
            retrying?.cancel()
            await handle(.answered(token, await told(token)))
        case .retry(let failures, let asked):
            let seconds = policy.delay(afterFailures: failures, asked: asked, random: random())
            retrying = Task { [sleep] in
                guard (try? await sleep(seconds)) != nil, !Task.isCancelled else { return }
                await self.retryIsDue()
            }
        case .remove(let token, let registration):
            retrying?.cancel()
            await handle(.removed(await removed(token, registration)))
        case .signedOut(let done):
            expiring?.cancel()
            leaving.forEach { $0.resume(returning: done) }
            leaving = []
        }
    }

    private func retryIsDue() async {
        retrying = nil  // it is this very task: it must not be cancelled by what it begins
        await handle(.retryDue)
    }

    private func told(_ token: DeviceToken) async -> Answer {
        do {
            let request = try api.register(token, app(), registrationToken: try await tokens())
            return try await answer(request)
        } catch {
            return .later(after: nil)
        }
    }

    /// The registration's id is in the answer to registering; when this launch has none yet, that is repeated, which
    /// changes nothing.
    private func removed(_ token: DeviceToken, _ registration: String?) async -> Answer {
        var place = registration
        if place == nil {
            let answer = await told(token)
            guard case .done(let made) = answer else { return answer }
            place = made
        }
        guard let place, let registrationToken = try? await tokens() else { return .later(after: nil) }
        let request = api.remove(token, registration: place, registrationToken: registrationToken)
        return (try? await answer(request)) ?? .later(after: nil)
    }

    private func answer(_ request: URLRequest) async throws -> Answer {
        let got = try await transport.send(request)
        return Answer(status: got.status, body: got.body, retryAfter: got.retryAfter)
    }
}
