internal import NIOCore

/// What somebody tried by the control socket, for the log where nothing came of it.
public struct ControlAttempt: Sendable, Equatable {
    /// Bytes of a request's body that are told.
    private static let told = 200

    public let caller: Caller
    /// The last part of the path; nil: not even a request was taken.
    let route: String?
    /// The route and what came with it, on one line of visible ASCII.
    public let command: String

    init(_ route: String, _ request: Request, _ caller: Caller) {
        self.caller = caller
        self.route = route
        let body = request.body.readableBytesView
        command =
            body.isEmpty
            ? route
            : "\(route) \(ControlAttempt.visible(body.prefix(ControlAttempt.told)))"
                + (body.count > ControlAttempt.told ? "..." : "")
    }

    /// Somebody has connected for whom there is no place.
    init(conversationOf caller: Caller) {
        self.caller = caller
        route = nil
        command = "a conversation"
    }

    private static func visible(_ bytes: some Sequence<UInt8>) -> String {
        bytes.reduce(into: "") { text, byte in
            if (0x20...0x7e).contains(byte) {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
    }
}
