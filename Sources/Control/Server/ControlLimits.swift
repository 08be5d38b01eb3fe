public import NIOCore

/// What a client of the control socket may cost.
public struct ControlLimits: Sendable {
    /// Clients at a time; one more is answered 503 and let go.
    public var clients = 64
    /// How many of these places are kept for root.
    public var clientsOfRoot = 4
    /// How many of them may be such as may not change anything: the rest is kept for those who may.
    public var readers = 48
    /// How many one user may be, of those who may only read, and of those who may change; root as many as there are.
    public var clientsPerReader = 16
    public var clientsPerAdministrator = 32
    /// Bytes of one header field.
    public var headerField = 8 * 1024
    /// Bytes of all header fields of one request together.
    public var header = 16 * 1024
    /// Header fields of one request.
    public var headerFields = 64
    /// Bytes of a request's body.
    public var body = 64 * 1024
    /// From the connection, or from the end of the last reply, until the next request is complete.
    public var requestTime: TimeAmount = .seconds(10)
    /// Without the client taking a byte of what waits for it.
    public var stallTime: TimeAmount = .seconds(120)
    /// For which a client may take one answer in pieces, however small; events have no such limit.
    public var streamTime: TimeAmount = .seconds(600)
    /// The same where all connections are kept in memory for it.
    public var sortedTime: TimeAmount = .seconds(120)
    /// Table slots, or rows, that are looked at before other clients have their turn.
    public var slice = 128

    public init() {}
}
