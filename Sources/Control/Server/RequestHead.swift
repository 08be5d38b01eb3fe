internal import NIOHTTP1

/// What of a request's head decides about the conversation, on both of the daemon's HTTP servers.
extension HTTPRequestHead {
    /// Whether no further request is taken. Of one that asks for another protocol the parser takes the rest for that
    /// protocol's: it would be kept in memory, unread.
    var endsConversation: Bool { !isKeepAlive || method == .CONNECT || headers.contains(name: "upgrade") }

    /// What is wrong about whom it is for (RFC 9112 section 3.2): somebody on the way might have taken it for another; nil:
    /// nothing.
    var hostProblem: String? {
        let count = headers["host"].count
        if count > 1 { return "there are \(count) Host fields: one is wanted" }
        return count == 0 && version != .http1_0 ? "the Host field is missing" : nil
    }
}
