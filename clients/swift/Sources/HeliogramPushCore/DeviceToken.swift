import Foundation

/// The token that APNs gave this app on this device, for this launch.
///
/// It is never stored: the system gives it again at each launch, and may give another one. It does not print itself.
public struct DeviceToken: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The bytes as the system gave them. Their number is APNs' business and may change.
    public let bytes: Data

    /// Takes what `application(_:didRegisterForRemoteNotificationsWithDeviceToken:)` was given.
    public init(_ bytes: Data) {
        self.bytes = bytes
    }

    /// Two lower-case digits a byte, as the service wants it.
    public var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        var text = [UInt8]()
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    public var description: String { "DeviceToken(\(bytes.count) bytes)" }
    public var debugDescription: String { description }
}
