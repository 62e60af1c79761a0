// What the listings of the documentation leave to the app.
enum BackEnd {
    static let isSignedIn = true

    static func registrationToken() async throws -> String { "hgr_example" }

    static func forgetDevice() async {}

    static func signOut() async {}
}
