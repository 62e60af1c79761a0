import Foundation

/// What an attempt to tell the service came to.
public enum Answer: Sendable, Equatable {
    /// It is done. `registration` is what the answer points at, if it does.
    case done(registration: String?)
    /// The registration token is refused (401): a fresh one may do.
    case unauthorised
    /// Later it may work: no network, 408, 429 or 5xx. `after` is what the service asked for, in seconds.
    case later(after: TimeInterval?)
    /// It will not work by trying again: the service said why.
    case refused(status: Int, code: Int?, detail: String?)

    /// What a status means.
    public init(status: Int, body: Data, retryAfter: String?) {
        switch status {
        case 200..<300:
            self = .done(registration: RegistrationAPI.registration(in: body))
        case 401:
            self = .unauthorised
        case 408, 425, 429, 500...:
            self = .later(after: retryAfter.flatMap { TimeInterval($0) }.flatMap { $0 >= 0 ? $0 : nil })
        default:
            let problem = RegistrationAPI.problem(in: body)
            self = .refused(status: status, code: problem.code, detail: problem.detail)
        }
    }
}

/// How long to wait before trying again: longer and longer, and not all devices at once.
public struct RetryPolicy: Sendable, Equatable {
    /// Seconds after the first failure, the second, …; from then on the last.
    public var delays: [TimeInterval]
    /// Each delay is made longer by up to this part of it, at random.
    public var jitter: Double
    /// No longer than this, whatever the service asks for.
    public var longest: TimeInterval

    public static let standard = RetryPolicy(delays: [5, 30, 120, 600, 3600], jitter: 0.2, longest: 21_600)

    public init(delays: [TimeInterval], jitter: Double, longest: TimeInterval) {
        precondition(!delays.isEmpty && delays.allSatisfy { $0 >= 0 }, "delays: give at least one, none below 0")
        precondition((0...1).contains(jitter), "jitter: expected 0 to 1")
        self.delays = delays
        self.jitter = jitter
        self.longest = longest
    }

    /// Seconds to wait after so many failures in a row (1 or more). `random` is from 0 to 1.
    public func delay(afterFailures failures: Int, asked: TimeInterval? = nil, random: Double) -> TimeInterval {
        let own = delays[min(max(failures, 1), delays.count) - 1]
        let base = max(own, asked ?? 0)
        return min(base * (1 + jitter * min(max(random, 0), 1)), longest)
    }
}
