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
        guard isReady(within: milliseconds) else { return .none }
        guard let first = next() else { return Errno.last == .interrupted ? .none : .gone }
        guard first == 0x1B else { return .key(first) }
        // What arrows and others send: escape, [ or O, and then up to the first letter or ~.
        guard isReady(within: 0), let second = next(), second == UInt8(ascii: "[") || second == UInt8(ascii: "O") else {
            return .none
        }
        while isReady(within: 0), let byte = next(), !(0x40...0x7E).contains(byte) {}
        return .none
    }

    private static func isReady(within milliseconds: Int) -> Bool {
        var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, Int32(clamping: milliseconds)) > 0
    }

    /// nil: none came.
    private static func next() -> UInt8? {
        var byte: UInt8 = 0
        errno = 0
        return read(0, &byte, 1) == 1 ? byte : nil
    }
}
