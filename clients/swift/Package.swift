// swift-tools-version: 5.9
import PackageDescription

let strict: [SwiftSetting] = [.enableExperimentalFeature("StrictConcurrency")]

let package = Package(
    name: "HeliogramPush",
    platforms: [.iOS(.v15), .macOS(.v12), .tvOS(.v15), .visionOS(.v1)],
    products: [
        .library(name: "HeliogramPush", targets: ["HeliogramPush"]),
        // Without UIKit and AppKit: for extensions, and for tests on Linux.
        .library(name: "HeliogramPushCore", targets: ["HeliogramPushCore"]),
    ],
    targets: [
        .target(name: "HeliogramPushCore", swiftSettings: strict),
        .target(name: "HeliogramPush", dependencies: ["HeliogramPushCore"], swiftSettings: strict),
        .testTarget(
            name: "HeliogramPushCoreTests", dependencies: ["HeliogramPushCore"], exclude: ["Fixtures"],
            swiftSettings: strict),
    ]
)
