import Foundation

/// A manual page in mdoc(7), as far as the comparison with the code needs it: its sections and the items of its lists.
struct ManualPage {
    /// A macro with its arguments, such as `Fl -listen` or `Ar address`. Punctuation is left out.
    struct Phrase: Equatable {
        var macro: String
        var words: [String]
    }

    /// An item of a tagged list: what stands in the margin, and what is said about it, items within it included.
    struct Item {
        var section: String
        var subsection: String?
        /// 1 in an outermost list.
        var depth: Int
        var head: [Phrase] = []
        var body: [Phrase] = []

        /// Names of the flags in the head without dashes: `Fl -listen` is `listen`, `Fl c` is `c`.
        var flags: [String] { ManualPage.flags(in: head) }

        /// The first word that stands for itself: a verb, a key, a number.
        var literal: String? {
            head.first { ManualPage.literals.contains($0.macro) && !$0.words.isEmpty }?.words.first
        }

        /// Everything that is said about it, as plain words.
        var text: String { (head + body).flatMap(\.words).joined(separator: " ") }
    }

    /// Headings of `.Sh`, in order.
    private(set) var sections: [String] = []
    private(set) var items: [Item] = []
    /// All that is not an item's head, and the heads as well.
    private(set) var phrases: [Phrase] = []

    /// Macros whose argument is typed as it stands.
    private static let literals: Set<String> = ["Ic", "Cm", "Li", "Va", "Sy", "Ql", "No", "Er", "It"]
    /// Macros that may stand within a line.
    private static let callable = Set(
        """
        Ac Ad An Ao Ap Aq Ar Bc Bo Bq Brc Bro Brq Cd Cm Dc Do Dq Dv Ec Em En Eo Er Ev Fa Fl Fn Ft Ic Li Lk Ms Mt Nm No \
        Ns Oc Oo Op Pa Pc Pf Po Pq Qc Ql Qo Qq Sc So Sq Sx Sy Tn Va Vt Xc Xo Xr
        """.split(separator: " ").map(String.init))
    private static let punctuation: Set<String> = [".", ",", ":", ";", "(", ")", "[", "]", "?", "!", "|"]

    init(_ source: String) {
        var section = ""
        var subsection: String?
        /// One entry for each list that is open: the index of its current item, if it has one.
        var open: [Int?] = []
        /// The head goes on until `.Xc`.
        var headGoesOn = false

        for line in source.split(separator: "\n") {
            guard !line.hasPrefix(".\\\"") else { continue }
            let parsed = Self.parse(line)
            let macro = line.hasPrefix(".") ? parsed.first?.macro : nil
            switch macro {
            case "Sh":
                section = parsed[0].words.joined(separator: " ")
                subsection = nil
                sections.append(section)
                continue
            case "Ss":
                subsection = parsed[0].words.joined(separator: " ")
                continue
            case "Bl":
                open.append(nil)
                continue
            case "El":
                _ = open.popLast()
                continue
            case "It":
                guard !open.isEmpty else { continue }
                items.append(Item(section: section, subsection: subsection, depth: open.count))
                open[open.count - 1] = items.count - 1
                headGoesOn = parsed.contains { $0.macro == "Xo" }
                items[items.count - 1].head = parsed
                phrases += parsed
                for outer in open.dropLast() { if let outer { items[outer].body += parsed } }
                continue
            default:
                break
            }
            phrases += parsed
            if headGoesOn, let current = open.last ?? nil {
                items[current].head += parsed
                headGoesOn = !parsed.contains { $0.macro == "Xc" }
            } else {
                for index in open { if let index { items[index].body += parsed } }
            }
        }
    }

    /// Names of all flags that the page mentions.
    var flags: Set<String> { Set(Self.flags(in: phrases)) }

    func items(in section: String) -> [Item] {
        items.filter { $0.section == section }
    }

    static func flags(in phrases: [Phrase]) -> [String] {
        phrases.filter { $0.macro == "Fl" }.flatMap(\.words)
            .map { $0.hasPrefix("-") ? String($0.dropFirst()) : $0 }
    }

    /// The phrases of a line. A line of text is one phrase of the macro `No`, as mdoc has it.
    static func parse(_ line: some StringProtocol) -> [Phrase] {
        let isMacro = line.hasPrefix(".")
        var phrases: [Phrase] = []
        for (index, (word, isQuoted)) in words(in: isMacro ? line.dropFirst() : line[...]).enumerated() {
            if isMacro, !isQuoted, index == 0 || callable.contains(word) {
                phrases.append(Phrase(macro: word, words: []))
            } else if !isQuoted, punctuation.contains(word) {
                continue
            } else {
                if phrases.isEmpty { phrases.append(Phrase(macro: "No", words: [])) }
                phrases[phrases.count - 1].words.append(word)
            }
        }
        return phrases
    }

    /// Words between spaces; double quotes hold several together. The escapes that a name can have are resolved.
    private static func words(in line: some StringProtocol) -> [(word: String, isQuoted: Bool)] {
        var result: [(String, Bool)] = []
        var word = ""
        var isQuoted = false
        var inQuotes = false
        let text = String(line).replacingOccurrences(of: "\\-", with: "-").replacingOccurrences(of: "\\&", with: "")
        for character in text + " " {
            if character == "\"" {
                inQuotes.toggle()
                isQuoted = true
            } else if character == " ", !inQuotes {
                if !word.isEmpty || isQuoted { result.append((word, isQuoted)) }
                (word, isQuoted) = ("", false)
            } else {
                word.append(character)
            }
        }
        return result
    }
}
