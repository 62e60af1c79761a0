// Stands in for Apple's AppKit, see UIKit.swift.
@_exported import Foundation

@MainActor open class NSApplication {
    public static let shared = NSApplication()

    public init() {}

    public func registerForRemoteNotifications() {}
}
