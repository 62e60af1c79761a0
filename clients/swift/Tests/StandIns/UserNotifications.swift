// Stands in for Apple's UserNotifications, see UIKit.swift.
import Foundation

public struct UNAuthorizationOptions: OptionSet, Sendable {
    public static let badge = Self(rawValue: 1)
    public static let sound = Self(rawValue: 2)
    public static let alert = Self(rawValue: 4)
    public let rawValue: UInt

    public init(rawValue: UInt) { self.rawValue = rawValue }
}

public final class UNNotificationSettings: Sendable {}

public final class UNUserNotificationCenter: Sendable {
    public static func current() -> UNUserNotificationCenter { UNUserNotificationCenter() }

    public func requestAuthorization(options: UNAuthorizationOptions = []) async throws -> Bool { true }

    public func notificationSettings() async -> UNNotificationSettings { UNNotificationSettings() }
}
