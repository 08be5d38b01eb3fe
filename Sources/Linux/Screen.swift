internal import CLinux
internal import Glibc

/// A whole terminal, behind standard input and output, for a program that shows pages and takes keys. One thread uses it.
public enum Screen {
    /// Takes the terminal. From here on, whatever signal ends the process gives it back first.
    public static func open() throws(SystemError) {
        if limpet_screen_open() != 0 { throw SystemError("take the terminal", .last) }
    }

    public static func close() { limpet_screen_close() }

    /// Whether it must be drawn anew since the last call: its size has changed, or the process was stopped.
    public static func hasChanged() -> Bool { limpet_screen_changed() != 0 }

    /// Rows and columns; those of old where the terminal does not know.
    public static var size: (rows: Int, columns: Int) {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0, size.ws_col > 0 else { return (24, 80) }
        return (Int(size.ws_row), Int(size.ws_col))
    }

    /// What came of waiting for a key.
    public enum Input: Equatable {
        case key(UInt8)
        /// None within the time, one that says nothing by itself such as an arrow, or a signal.
        case none
        /// There is nobody any more who could press one.
        case gone
    }

    public static func key(within milliseconds: Int) -> Input {
        var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, Int32(clamping: milliseconds)) > 0 else { return .none }
        var bytes: (UInt64, UInt64) = (0, 0)
        let count = withUnsafeMutableBytes(of: &bytes) { read(0, $0.baseAddress!, $0.count) }
        if count < 0 && Errno.last == .interrupted { return .none }
        if count <= 0 { return .gone }
        let first = UInt8(truncatingIfNeeded: bytes.0)
        // Escape begins what arrows and others send.
        return first == 0x1B ? .none : .key(first)
    }
}
