internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat
internal import NIOHTTP1

/// Events as limpetd sends them, until it ends. One thread uses it.
public final class EventLines {
    private let open: (_ since: String?) throws(ControlError) -> Exchange
    private let waits: Bool
    private var exchange: Exchange
    /// Of the last event.
    private var cursor: String?
    private var buffer = ByteBuffer()
    private let decoder = JSONDecoder()

    /// - Parameters:
    ///   - since: as ``ControlClient/events(since:waits:)`` takes it.
    ///   - open: asks, and reads the head of the answer.
    init(
        since: String?, waits: Bool, _ open: @escaping (_ since: String?) throws(ControlError) -> Exchange
    ) throws(ControlError) {
        self.open = open
        self.waits = waits
        cursor = since
        exchange = try open(since)
    }

    /// The next event with the line that it came in, without the newline. Waits for it; nil: that was all, and nobody wants
    /// to wait. When an engine takes the conversation with it, the next one is asked for what came after the last event.
    public func next() throws(ControlError) -> (event: Reply<ControlEvent>, line: [UInt8])? {
        while true {
            if let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")),
                let line = buffer.readSlice(length: end - buffer.readerIndex)
            {
                buffer.moveReaderIndex(forwardBy: 1)
                buffer.discardReadBytes()
                do {
                    let event = try decoder.decode(Reply<ControlEvent>.self, from: line)
                    cursor = event.body.cursor ?? cursor
                    return (event, Array(line.readableBytesView))
                } catch {
                    throw ControlError(
                        .failed,
                        "limpetd's answer is not what this version expects; are limpetd and limpetctl of one version?")
                }
            }
            do throws(ControlError) {
                switch try exchange.next() {
                case .body(var part): buffer.writeBuffer(&part)
                case .end:
                    guard waits else { return nil }
                    try reopen()
                case .head: break
                }
            } catch  where error == Exchange.noAnswer || error == Exchange.endedEarly {
                try reopen()
            }
        }
    }

    private func reopen() throws(ControlError) {
        exchange.close()
        buffer.clear()
        exchange = try open(cursor)
    }
}
