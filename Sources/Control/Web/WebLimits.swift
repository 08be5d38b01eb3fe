public import NIOCore

/// What clients of the HTTP port may cost.
public struct WebLimits: Sendable {
    /// Clients at a time. One more takes the place of the one that has been silent for longest, or is told to come later
    /// where all are being answered.
    public var clients = WebLimits.mostClients
    /// How many of these one address may have, an IPv6 /64 counting as one; this machine's own may have all.
    public var clientsPerAddress = 8
    /// Bytes of one header field.
    public var headerField = 4 * 1024
    /// Bytes of all header fields of one request together.
    public var header = 8 * 1024
    /// Header fields of one request.
    public var headerFields = 64
    /// From the first byte of a conversation until its request is complete.
    public var requestTime: TimeAmount = .seconds(10)
    /// Without a further request. Longer than most people's scrape interval.
    public var idleTime: TimeAmount = .seconds(150)
    /// Until a client has taken its answer.
    public var answerTime: TimeAmount = .seconds(30)

    /// The same where others wait for its place.
    public var hurriedTime: TimeAmount = .seconds(5)

    /// Descriptors that the clients may take, those included that are being turned away.
    public static let mostClients = 32

    public init() {}
}
