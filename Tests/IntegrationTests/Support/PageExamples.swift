import Foundation
import Testing

/// What the pages of the manual show, as somebody would type or write it.
enum PageExamples {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path
    static let pages = ["limpet.toml.5", "limpetctl.8", "limpetd.8", "limpet-control.7", "limpet-metrics.7"]

    static func text(of page: String) throws -> String {
        try String(contentsOfFile: "\(root)/man/\(page)", encoding: .utf8)
    }

    /// The section EXAMPLES.
    static func section(of page: String) throws -> String {
        try #require(text(of: page).components(separatedBy: ".Sh EXAMPLES\n").dropFirst().first)
            .components(separatedBy: "\n.Sh ")[0]
    }

    /// The displays of some text, line by line.
    static func displays(_ text: String) -> [[String]] {
        text.components(separatedBy: ".Bd -literal").dropFirst().map { display in
            display.components(separatedBy: "\n.Ed")[0].components(separatedBy: "\n").dropFirst().map(plain)
        }
    }

    /// The lines that stand out by themselves.
    static func lines(_ text: String) -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix(".Dl ") }.map { plain(String($0.dropFirst(4))) }
    }

    /// What is written in the middle of a sentence as it is to be typed.
    static func words(_ text: String) -> [String] {
        text.split(separator: "\n").filter { $0.hasPrefix(".Li ") || $0.hasPrefix(".Ql ") || $0.hasPrefix(".Pq Li ") }
            .map {
                plain(String($0.replacing(#/^\.(Li|Ql|Pq Li) /#, with: "").replacing(#/ [.,:;)]+$/#, with: "")))
            }
    }

    /// Without what mdoc(7) needs.
    private static func plain(_ text: String) -> String {
        text.replacing("\\e", with: "\\").replacing("\\(->", with: "→").replacing("\\(dq", with: "\"").replacing(
            "\\&", with: ""
        ).replacing("\\-", with: "-")
    }
}
