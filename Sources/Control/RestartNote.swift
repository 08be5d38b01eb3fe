internal import Linux

/// What the keeper leaves beside the control socket while there is no engine that could answer there: one line, for
/// limpetctl to say in its place. Plain functions of a path; any thread may call them.
public enum RestartNote {
    /// Bytes that are read of one.
    private static let limit = 4096

    /// - Parameter socket: path of the control socket.
    public static func path(beside socket: String) -> String { socket + ".state" }

    /// Writes it, or takes it away. What cannot be written is left out: it only spares somebody a wait.
    /// - Parameter text: nil: there is an engine again.
    public static func leave(_ text: String?, beside socket: String) {
        let path = path(beside: socket)
        _ = PathEntry.remove(path)
        if let text { _ = TextFile.create(path, text + "\n", permissions: 0o640) }
    }

    /// nil: there is none.
    public static func read(beside socket: String) -> String? {
        guard let text = TextFile.read(path(beside: socket), limit: limit) else { return nil }
        let line = text.prefix { $0 != "\n" }
        return line.isEmpty ? nil : String(line)
    }
}
