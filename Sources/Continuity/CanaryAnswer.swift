/// What an executable says of itself when it is asked whether it could take a running daemon over.
///
/// A text of lines, so that builds of any age understand each other:
///
///     limpet-canary 1
///     version 0.2.0
///     layout 2
///     reads 1 2
///     restores 1 2
///     calls read write …
///     configuration ok
///     end
///
/// `calls` are the system calls that it needs, by their names; builds that had no sandbox do not say.
/// `configuration refused` is followed by the reason. Lines that are not known are passed over; a change of what a line
/// means changes the number.
public struct CanaryAnswer: Sendable, Equatable {
    /// Of the executable.
    public var version: String
    /// The layout of the shared region that it works on.
    public var layout: UInt32
    /// Layouts that it takes over.
    public var reads: [UInt32]
    /// Layouts that it can give back.
    public var restores: [UInt32]
    /// The system calls that it needs, by their names; empty: it does not say.
    public var calls: [String]
    /// What it has against the active configuration, in one line; nil: nothing.
    public var refusal: String?

    static let greeting = "limpet-canary "
    static let format = 1
    /// An answer is at most this long; what is longer is none.
    static let maximumLength = 8192

    public init(
        version: String, layout: UInt32, reads: [UInt32], restores: [UInt32], calls: [String] = [], refusal: String?
    ) {
        self.version = version
        self.layout = layout
        self.reads = reads
        self.restores = restores
        self.calls = calls
        self.refusal = refusal
    }

    public var text: String {
        let verdict = refusal.map { "refused " + CanaryAnswer.line($0, limit: 2048) } ?? "ok"
        return """
            \(CanaryAnswer.greeting)\(CanaryAnswer.format)
            version \(version)
            layout \(layout)
            reads \(reads.map(String.init).joined(separator: " "))
            restores \(restores.map(String.init).joined(separator: " "))
            calls \(calls.joined(separator: " "))
            configuration \(verdict)
            end

            """
    }

    /// Why a text is no answer.
    enum Problem: Error, Equatable {
        /// It is none, or not a whole one.
        case unreadable
        /// It is one of another format.
        case format(String)
    }

    /// Reads an answer. What stands before its first line is passed over: warnings of the loader, say.
    init(parsing text: String) throws(Problem) {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)[...]
        guard let start = lines.firstIndex(where: { $0.hasPrefix(CanaryAnswer.greeting) }) else { throw .unreadable }
        let format = lines[start].dropFirst(CanaryAnswer.greeting.count)
        lines = lines[(start + 1)...]
        guard format == "\(CanaryAnswer.format)" else { throw .format(CanaryAnswer.line(String(format), limit: 20)) }
        guard let end = lines.firstIndex(of: "end") else { throw .unreadable }
        var said: [Substring: Substring] = [:]
        for line in lines[..<end] {
            let key = line.prefix { $0 != " " }
            guard said.updateValue(line.dropFirst(key.count + 1), forKey: key) == nil else { throw .unreadable }
        }
        guard let version = said["version"], !version.isEmpty, version.utf8.count < 32,
            version.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }),
            let layout = said["layout"].flatMap({ UInt32($0) }), let reads = CanaryAnswer.numbers(said["reads"]),
            let restores = CanaryAnswer.numbers(said["restores"]), let verdict = said["configuration"]
        else { throw .unreadable }
        self.version = String(version)
        self.layout = layout
        self.reads = reads
        self.restores = restores
        calls = said["calls"].map { $0.split(separator: " ").map { CanaryAnswer.line(String($0), limit: 40) } } ?? []
        switch verdict {
        case "ok": refusal = nil
        case _ where verdict.hasPrefix("refused "):
            refusal = CanaryAnswer.line(String(verdict.dropFirst(8)), limit: 2048)
        default: throw .unreadable
        }
    }

    private static func numbers(_ text: Substring?) -> [UInt32]? {
        guard let words = text?.split(separator: " ") else { return nil }
        let numbers = words.compactMap { UInt32($0) }
        return numbers.count == words.count ? numbers : nil
    }

    /// Foreign text as one line that can be printed.
    static func line(_ text: String, limit: Int) -> String {
        let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
        var line = String.UnicodeScalarView()
        line.append(contentsOf: scalars.prefix(limit))
        return String(line) + (scalars.count > limit ? "…" : "")
    }
}
