public import Logging

/// How a log is written, as all of its loggers see it at every line: two bytes that may lie in memory which several
/// processes share, so that a change of the configuration reaches them all. Any thread may read them, one writes.
public struct LogSettings: @unchecked Sendable {
    private let level: UnsafeMutablePointer<UInt8>
    private let format: UnsafeMutablePointer<UInt8>

    /// - Parameters: live as long as any logger.
    public init(level: UnsafeMutablePointer<UInt8>, format: UnsafeMutablePointer<UInt8>) {
        self.level = level
        self.format = format
    }

    /// Settings of this process alone, which stay where they are until its end.
    public init(level: Logger.Level, format: StandardErrorLog.Format) {
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: 2)
        bytes.initialize(repeating: 0, count: 2)
        self.init(level: bytes, format: bytes + 1)
        set(level: level, format: format)
    }

    public func set(level: Logger.Level, format: StandardErrorLog.Format) {
        self.level.pointee = UInt8(Logger.Level.allCases.firstIndex(of: level) ?? 0)
        self.format.pointee = format == .json ? 1 : 0
    }

    var currentLevel: Logger.Level {
        let index = Int(level.pointee)
        return index < Logger.Level.allCases.count ? Logger.Level.allCases[index] : .info
    }

    var currentFormat: StandardErrorLog.Format { format.pointee == 1 ? .json : .text }
}
