// Stands in for Apple's UIKit where there is none: as much as PushRegistration and the listings of the documentation
// name, so that they can be compiled on Linux. See ../../check.
@_exported import Foundation

@MainActor open class UIResponder {
    public init() {}
}

@MainActor open class UIApplication: UIResponder {
    public struct LaunchOptionsKey: Hashable, Sendable {}

    public static let shared = UIApplication()

    public func registerForRemoteNotifications() {}
}

@MainActor public protocol UIApplicationDelegate: AnyObject {
    func application(
        _ application: UIApplication, didFinishLaunchingWithOptions launchOptions: [UIApplication.LaunchOptionsKey: Any]?
    ) -> Bool
    func application(_ application: UIApplication, didRegisterForRemoteNotificationsWithDeviceToken deviceToken: Data)
    func application(_ application: UIApplication, didFailToRegisterForRemoteNotificationsWithError error: any Error)
    func applicationDidBecomeActive(_ application: UIApplication)
}
