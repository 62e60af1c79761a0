import Foundation

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Which APNs the token is good for: the entitlement `aps-environment` of the build says it.
public enum PushEnvironment: String, Sendable, Codable {
    case production
    case sandbox
}

/// What the app says of itself with its token. All but the app's name may be left out; the service keeps what it knows.
public struct AppDescription: Sendable, Equatable {
    /// The app's name in the service, not its bundle id.
    public var appName: String
    public var environment: PushEnvironment?
    /// Made when the app first ran, and kept (`InstallationID`): the installation's new token replaces its old one.
    public var installationId: String?
    public var appVersion: String?
    /// A language tag such as `en-GB`.
    public var locale: String?
    /// A name of the IANA time zone database, such as `Europe/London`.
    public var timeZone: String?

    public init(
        appName: String, environment: PushEnvironment? = nil, installationId: String? = nil, appVersion: String? = nil,
        locale: String? = nil, timeZone: String? = nil
    ) {
        self.appName = appName
        self.environment = environment
        self.installationId = installationId
        self.appVersion = appVersion
        self.locale = locale
        self.timeZone = timeZone
    }
}

/// Makes the requests of the service's API: `POST` and `DELETE` below `/v1/PushNotifications/DeviceRegistrations`.
public struct RegistrationAPI: Sendable, Equatable {
    /// Where the service is, such as `https://push.example.com`.
    public let service: URL

    static let path = "v1/PushNotifications/DeviceRegistrations"
    static let seconds: TimeInterval = 30

    public init(service: URL) {
        self.service = service
    }

    /// Adds the device to the user that the registration token names, or renews it. Safe to repeat.
    public func register(_ token: DeviceToken, _ app: AppDescription, registrationToken: String) throws -> URLRequest {
        struct Body: Encodable {
            let appName: String
            let provider = "APN"
            let token: String
            let environment: PushEnvironment?
            let installationId: String?
            let appVersion: String?
            let locale: String?
            let timeZone: String?
        }
        let body = Body(
            appName: app.appName, token: token.hex, environment: app.environment, installationId: app.installationId,
            appVersion: app.appVersion, locale: app.locale, timeZone: app.timeZone)
        var request = self.request("POST", Self.path, registrationToken)
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        request.httpBody = try encoder.encode(body)
        return request
    }

    /// Takes the device out of a registration: at sign-out.
    public func remove(_ token: DeviceToken, registration: String, registrationToken: String) -> URLRequest {
        request("DELETE", "\(Self.path)/\(registration)/devices/\(token.hex)", registrationToken)
    }

    private func request(_ method: String, _ path: String, _ registrationToken: String) -> URLRequest {
        var request = URLRequest(url: service.appendingPathComponent(path), timeoutInterval: Self.seconds)
        request.httpMethod = method
        request.setValue("Bearer \(registrationToken)", forHTTPHeaderField: "Authorization")
        request.setValue("application/json", forHTTPHeaderField: "Accept")
        request.cachePolicy = .reloadIgnoringLocalCacheData
        return request
    }

    /// The registration that an answer to `register` points at.
    public static func registration(in answer: Data) -> String? {
        struct Accepted: Decodable { let resourceId: String }
        return try? JSONDecoder().decode(Accepted.self, from: answer).resourceId
    }

    /// The code and the words of an error (`application/problem+json`).
    public static func problem(in answer: Data) -> (code: Int?, detail: String?) {
        struct Problem: Decodable {
            let code: Int?
            let detail: String?
        }
        let problem = try? JSONDecoder().decode(Problem.self, from: answer)
        return (problem?.code, problem?.detail)
    }
}
