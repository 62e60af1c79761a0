import Foundation

/// A random id that this installation of the app made when it first ran, and keeps.
///
/// It stands in a file that is left out of backups: a new phone that was restored from an old one's backup is another
/// installation, and must not push the old one out.
public struct InstallationID: Sendable {
    private let file: URL

    /// In the app's Application Support directory, unless another file is given.
    public init(file: URL? = nil) {
        let support = FileManager.default.urls(for: .applicationSupportDirectory, in: .userDomainMask)
        let directory = support.first ?? FileManager.default.temporaryDirectory
        self.file = file ?? directory.appendingPathComponent("heliogram-installation")
    }

    /// The id; made now if there is none. Nil when it cannot be kept: then the device registers without one.
    public func value() -> String? {
        if let kept = try? String(contentsOf: file, encoding: .utf8), let id = UUID(uuidString: kept) {
            return id.uuidString
        }
        let made = UUID().uuidString
        do {
            let directory = file.deletingLastPathComponent()
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            try Data(made.utf8).write(to: file, options: .atomic)
            #if !os(Linux)
            var values = URLResourceValues()
            values.isExcludedFromBackup = true
            var place = file
            try place.setResourceValues(values)
            #endif
        } catch {
            return nil
        }
        return made
    }
}

extension PushEnvironment {
    /// What the entitlement `aps-environment` in a provisioning profile says; nil without one.
    ///
    /// A profile is a property list inside a signature. Apps from the App Store and TestFlight have none: production.
    public init?(provisioningProfile: Data) {
        guard
            let begin = provisioningProfile.range(of: Data("<?xml".utf8)),
            let end = provisioningProfile.range(of: Data("</plist>".utf8), in: begin.lowerBound..<provisioningProfile.endIndex),
            let list = try? PropertyListSerialization.propertyList(
                from: provisioningProfile[begin.lowerBound..<end.upperBound], format: nil) as? [String: Any],
            let entitlements = list["Entitlements"] as? [String: Any],
            let name = (entitlements["aps-environment"] ?? entitlements["com.apple.developer.aps-environment"]) as? String
        else { return nil }
        self = name == "development" ? .sandbox : .production
    }

    /// Of the app that runs: its profile's; without a profile production, in Xcode's simulator the sandbox.
    public static var ofThisApp: PushEnvironment {
        #if targetEnvironment(simulator)
        return .sandbox
        #else
        let profiles = ["embedded.mobileprovision", "embedded.provisionprofile", "Contents/embedded.provisionprofile"]
        for name in profiles {
            let file = Bundle.main.bundleURL.appendingPathComponent(name)
            if let profile = try? Data(contentsOf: file), let found = PushEnvironment(provisioningProfile: profile) {
                return found
            }
        }
        return .production
        #endif
    }
}
