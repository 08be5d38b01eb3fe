internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat
internal import NIOHTTP1

/// Connections as limpetd sends them. One thread uses it; no more is held than a read brings.
public final class ConnectionRows {
    /// Version of the daemon.
    public let version: String
    /// When the answer began.
    public let time: Timestamp
    private let exchange: Exchange
    private var buffer = ByteBuffer()
    private var isAtEnd = false
    private let decoder = JSONDecoder()

    init(_ exchange: Exchange, version: String, time: Timestamp) {
        self.exchange = exchange
        self.version = version
        self.time = time
    }

    /// The next row; nil after the last. Waits for limpetd.
    /// - Throws: ``ControlError/Code/failed`` where the stream ends before its end.
    public func next() throws(ControlError) -> ConnectionRow? {
        guard let line = try nextLine() else { return nil }
        do {
            return try decoder.decode(ConnectionRow.self, from: line)
        } catch {
            throw ControlError(
                .failed, "limpetd's answer is not what this version expects; are limpetd and limpetctl of one version?")
        }
    }

    /// The next row as the JSON object that limpetd sent, without the newline.
    public func nextJSON() throws(ControlError) -> [UInt8]? {
        try nextLine().map { Array($0.readableBytesView) }
    }

    private func nextLine() throws(ControlError) -> ByteBuffer? {
        while true {
            if let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                let line = buffer.readSlice(length: end - buffer.readerIndex)
                buffer.moveReaderIndex(forwardBy: 1)
                return line
            }
            guard !isAtEnd else { return nil }
            switch try exchange.next() {
            case .body(var part):
                buffer.discardReadBytes()
                buffer.writeBuffer(&part)
            case .end:
                isAtEnd = true
                exchange.close()
            case .head: break
            }
        }
    }
}
