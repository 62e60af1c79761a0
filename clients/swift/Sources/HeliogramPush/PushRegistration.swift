import Foundation
@_exported import HeliogramPushCore

#if canImport(UIKit) && !os(watchOS)
import UIKit
import UserNotifications

private typealias Application = UIApplication
#elseif canImport(AppKit)
import AppKit
import UserNotifications

private typealias Application = NSApplication
#endif

#if (canImport(UIKit) && !os(watchOS)) || canImport(AppKit)

/// Apple's registration flow and the service's, for an app delegate. Keep one for as long as the app runs:
///
/// ```swift
/// let push = PushRegistration(service: URL(string: "https://push.example.com")!, appName: "shop") {
///     try await BackEnd.shared.registrationToken()          // hgr_…, for whoever is signed in
/// }
/// ```
///
/// and call `start()` at each launch with somebody signed in, `didRegister` and `didFailToRegister` from the delegate's
/// methods of the same names, `wake()` when the app becomes active, and `signOut()` before the user is forgotten.
@MainActor
public final class PushRegistration {
    private let registrar: Registrar

    /// `describe` may change what the app says of itself.
    public init(
        service: URL, appName: String, describe: @escaping @Sendable (inout AppDescription) -> Void = { _ in },
        registrationToken: @escaping Registrar.TokenSource
    ) {
        registrar = Registrar(
            api: RegistrationAPI(service: service),
            app: {
                var app = AppDescription(
                    appName: appName, environment: .ofThisApp, installationId: InstallationID().value(),
                    appVersion: Bundle.main.object(forInfoDictionaryKey: "CFBundleShortVersionString") as? String,
                    locale: Self.languageTag, timeZone: TimeZone.current.identifier)
                describe(&app)
                return app
            },
            tokens: registrationToken,
            askSystem: { await MainActor.run { Application.shared.registerForRemoteNotifications() } })
    }

    /// At each launch with somebody signed in, and when somebody signs in. Asks the system for the device token, which
    /// needs no permission, and forwards whatever it gives.
    public func start() {
        Task { await registrar.start() }
    }

    /// Asks the person whether notifications may be shown. Do it where they see what for, not at the first launch; the
    /// system asks once, and answers by itself from then on. True when they may.
    public func requestPermission(_ options: UNAuthorizationOptions = [.alert, .badge, .sound]) async throws -> Bool {
        try await UNUserNotificationCenter.current().requestAuthorization(options: options)
    }

    /// What the person allows just now: it may change in Settings at any time.
    public func settings() async -> UNNotificationSettings {
        await UNUserNotificationCenter.current().notificationSettings()
    }

    /// From `application(_:didRegisterForRemoteNotificationsWithDeviceToken:)`.
    public func didRegister(_ token: Data) {
        Task { await registrar.received(token) }
    }

    /// From `application(_:didFailToRegisterForRemoteNotificationsWithError:)`. It is tried again by `wake`, and at the
    /// next launch.
    public func didFailToRegister(_ error: Error) {
        let why = error.localizedDescription
        Task { await registrar.systemFailed(why) }
    }

    /// From `applicationDidBecomeActive(_:)`: what failed is tried again at once.
    public func wake() {
        Task { await registrar.wake() }
    }

    /// Takes this device from the user. False when the service could not be told: then have your back end remove it.
    /// Call it while your back end still gives registration tokens for that user.
    @discardableResult
    public func signOut() async -> Bool {
        await registrar.signOut()
    }

    /// Where it is, for a page of diagnostics.
    public func phase() async -> Machine.Phase {
        await registrar.phase
    }

    /// `en-GB`, whatever calendar or collation the identifier carries.
    private nonisolated static var languageTag: String? {
        let locale = Locale.current
        if #available(iOS 16, macOS 13, tvOS 16, *) { return locale.identifier(.bcp47).components(separatedBy: "-u-").first }
        return locale.identifier.components(separatedBy: "@").first?.replacingOccurrences(of: "_", with: "-")
    }
}

#endif
