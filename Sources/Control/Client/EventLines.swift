internal import FoundationEssentials
internal import NIOCore
internal import NIOFoundationEssentialsCompat
internal import NIOHTTP1

/// Events as limpetd sends them, until it ends. One thread uses it.
public final class EventLines {
    private let open: () throws(ControlError) -> Exchange
    private var exchange: Exchange
    private var buffer = ByteBuffer()
    private let decoder = JSONDecoder()

    /// - Parameter open: asks, and reads the head of the answer.
    init(_ open: @escaping () throws(ControlError) -> Exchange) throws(ControlError) {
        self.open = open
        exchange = try open()
    }

    /// The next event with the line that it came in, without the newline. Waits for it. When an engine takes the
    /// conversation with it, the next one is asked: what happened in between is not told.
    public func next() throws(ControlError) -> (event: Reply<ControlEvent>, line: [UInt8]) {
        while true {
            if let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")),
                let line = buffer.readSlice(length: end - buffer.readerIndex)
            {
                buffer.moveReaderIndex(forwardBy: 1)
                buffer.discardReadBytes()
                do {
                    return (try decoder.decode(Reply<ControlEvent>.self, from: line), Array(line.readableBytesView))
                } catch {
                    throw ControlError(
                        .failed,
                        "limpetd's answer is not what this version expects; are limpetd and limpetctl of one version?")
                }
            }
            do throws(ControlError) {
                switch try exchange.next() {
                case .body(var part): buffer.writeBuffer(&part)
                case .end: try reopen()
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
        exchange = try open()
    }
}
