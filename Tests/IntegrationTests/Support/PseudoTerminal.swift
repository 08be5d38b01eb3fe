import Foundation

/// A terminal that the test holds the other end of.
final class PseudoTerminal {
    private let ours: Int32
    let theirs: Int32
    private var bytes: [UInt8] = []

    init(rows: UInt16 = 24, columns: UInt16 = 80) throws {
        var (ours, theirs): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        guard openpty(&ours, &theirs, nil, nil, &size) == 0 else { throw SocketFailure(call: "openpty", code: errno) }
        (self.ours, self.theirs) = (ours, theirs)
        _ = fcntl(ours, F_SETFL, O_NONBLOCK)
    }

    deinit {
        Foundation.close(ours)
        Foundation.close(theirs)
    }

    /// All that was written to it so far.
    var text: String {
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(ours, &part, part.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += part[0..<count]
        }
    }

    /// Forgets what was written so far.
    func clear() {
        _ = text
        bytes = []
    }

    /// Presses keys.
    func type(_ keys: String) { _ = write(ours, keys, keys.utf8.count) }

    /// How it treats lines and echo.
    var mode: [UInt32] {
        var settings = termios()
        tcgetattr(theirs, &settings)
        return [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag]
    }
}
