import Configuration
import Control
import Forwarding
import Foundation
import Observability
import Testing

// What one of them has and the other lacks fails here: flags, verbs, keys, exit statuses.
@Suite("The manual and the code")
struct PagesAgreeTests {
    @Test("limpetd(8): flags")
    func daemonFlags() throws {
        let page = try Pages.read("limpetd.8")
        let help = try CommandHelp(of: "limpetd")
        let described = page.items.filter { $0.depth == 1 }.flatMap(\.flags).filter { !["h", "help"].contains($0) }
        #expect(Comparison.differences(of: "flag", code: help.flags, page: described) == [])
        #expect(page.flags.subtracting(help.flags).subtracting(["h", "help"]) == [], "flags that do not exist")
    }

    @Test("limpetctl(8): verbs")
    func verbs() throws {
        let page = try Pages.read("limpetctl.8")
        let help = try CommandHelp(of: "limpetctl")
        #expect(
            Comparison.differences(
                of: "verb", code: help.verbs.map(\.commandName), page: page.commands.compactMap(\.literal)) == [])
    }

    @Test("limpetctl(8): each verb appears in EXAMPLES")
    func examples() throws {
        let text = try String(contentsOfFile: Pages.path(of: "limpetctl.8"), encoding: .utf8)
        let section = try #require(text.components(separatedBy: ".Sh EXAMPLES\n").last)
            .components(separatedBy: "\n.Sh ")[0]
        let shown = Set(
            section.matches(of: /(?m)\blimpetctl (?:--\w+ )*([a-z]+)/).map { String($0.1) })
        let verbs = try CommandHelp(of: "limpetctl").verbs.map(\.commandName)
        #expect(verbs.filter { !shown.contains($0) } == [])
    }

    @Test("limpetctl(8): the options of each verb, and those of all")
    func verbOptions() throws {
        let page = try Pages.read("limpetctl.8")
        let help = try CommandHelp(of: "limpetctl")
        let verbs = help.verbs
        let common = verbs.dropFirst().reduce(verbs.first?.flags ?? []) { $0.intersection($1.flags) }
        #expect(common.isSuperset(of: ["control", "json", "plain", "wide"]))
        // Described once, for all verbs.
        let general = page.items.filter { $0.depth == 1 && $0.literal == nil }.flatMap(\.flags)
        #expect(Comparison.differences(of: "option", code: common.union(help.flags), page: general) == [])
        for verb in verbs {
            let item = try #require(page.commands.first { $0.literal == verb.commandName }, "\(verb.commandName)")
            let own = verb.flags.subtracting(common)
            let described = Set(item.flags + ManualPage.flags(in: item.body)).subtracting(common)
            #expect(
                Comparison.differences(of: "\(verb.commandName)'s option", code: own, page: described) == [])
        }
        let all = try verbs.reduce(help.flags) { $0.union($1.flags) }.union(CommandHelp(of: "limpetd").flags)
        #expect(page.flags.subtracting(all).subtracting(["h", "help"]) == [], "flags that do not exist")
    }

    @Test("limpet.toml(5): keys, each as often as there are places for it")
    func keys() throws {
        let page = try Pages.read("limpet.toml.5")
        let names = ConfigurationKeys.all.map(\.name)
        #expect(
            Comparison.differences(of: "key", code: names, page: page.commands.compactMap(\.literal)) == [])
    }

    @Test("limpet-metrics(7): metrics with their kinds and labels")
    func metrics() throws {
        let page = try Pages.read("limpet-metrics.7").commands.map { item in
            let labels = item.head.filter { $0.macro == "Pq" }.flatMap(\.words)
            return "\(item.literal ?? "") \(item.body.first?.words.first ?? "") \(labels)"
        }
        let code = MetricCatalogue.all.map { "\($0.name) \($0.kind.rawValue.capitalized). \($0.labels)" }
        #expect(Comparison.differences(of: "metric", code: code, page: page) == [])
    }

    @Test("limpet-metrics(7): why clients are refused")
    func refusals() throws {
        let item = try #require(
            try Pages.read("limpet-metrics.7").commands.first { $0.literal == "limpet_listener_refused_total" })
        let page = Set(item.body.filter { $0.macro == "Li" }.flatMap(\.words)).sorted()
        let code = EndReason.allCases.filter { $0.isRefusal || $0 == .local || $0 == .clientReset }.map(\.word).sorted()
        #expect(Comparison.differences(of: "reason", code: code, page: page) == [])
    }

    @Test("limpetd(8): why connections end")
    func endReasons() throws {
        let page = try Pages.read("limpetd.8")
        let items = page.items(in: "ACCESS LOG").flatMap(\.head).flatMap(\.words)
        let fields = [
            "id", "client", "peer", "listener", "service", "backend", "home", "away", "connect_seconds", "retries",
            "duration_seconds", "bytes_in", "bytes_out", "end", "by",
        ]
        #expect(Array(items.prefix(fields.count)) == fields)
        #expect(
            Comparison.differences(
                of: "reason", code: EndReason.allCases.map(\.word), page: Array(items.dropFirst(fields.count))) == [])
    }

    @Test("Exit statuses", arguments: ["limpetd", "limpetctl"])
    func exitStatuses(program: String) throws {
        let help = try CommandHelp(of: program)
        let page = try Pages.read("\(program).8").items(in: "EXIT STATUS").compactMap(\.literal)
        #expect(!help.exitStatuses.isEmpty)
        #expect(
            Comparison.differences(of: "exit status", code: help.exitStatuses.map(String.init), page: page) == [])
    }

    @Test("Every error of the control socket ends limpetctl with a documented exit status")
    func errorStatuses() throws {
        let known = try CommandHelp(of: "limpetctl").exitStatuses
        for code in ControlError.Code.allCases {
            #expect(known.contains(Int(code.exitStatus)), "\(code.rawValue): \(code.exitStatus)")
        }
    }

    @Test("limpetctl(8): events")
    func events() throws {
        let page = try Pages.read("limpetctl.8").items(in: "EVENTS").compactMap(\.literal)
        #expect(
            Comparison.differences(of: "event", code: ControlEvent.Kind.allCases.map(\.rawValue), page: page) == [])
    }

    @Test("limpet-control(7): routes, and why they refuse")
    func routes() throws {
        let page = try Pages.read("limpet-control.7")
        let routes = (page.items(in: "TO SHOW") + page.items(in: "TO ACT")).map(\.text)
            .compactMap { $0.firstMatch(of: /^(GET|POST) \S+/).map { String($0.0) } }
        #expect(Comparison.differences(of: "route", code: ControlRoutes.all, page: routes) == [])
        let codes = page.items(in: "REFUSALS").map { $0.text.split(separator: " ").prefix(2).joined(separator: " ") }
        let known = ControlError.Code.allCases.map {
            "\($0.rawValue) \($0.httpStatus)\($0 == .tooLarge ? "," : ":")"
        }
        #expect(Comparison.differences(of: "refusal", code: known, page: codes) == [])
    }

    @Test("Sections that every page has, in the order of mdoc(7)", arguments: Pages.names)
    func sections(page name: String) throws {
        let page = try Pages.read(name)
        let required = Pages.required(of: name)
        #expect(page.sections.filter(required.contains) == required, "has \(page.sections)")
    }

    @Test("Sections that the manual has somewhere", arguments: ["STICKINESS", "DRAINING", "SIGNALS", "CAVEATS"])
    func subjects(section: String) throws {
        #expect(try Pages.names.contains { try Pages.read($0).sections.contains(section) })
    }

    @Test(
        "mandoc finds nothing to complain of", .enabled(if: Program.installed("mandoc") != nil, "mandoc is missing"),
        arguments: Pages.names)
    func lint(page name: String) throws {
        let mandoc = try #require(Program.installed("mandoc"))
        let outcome = try Program.run(mandoc, ["-T", "lint", "-W", "warning", Pages.path(of: name)])
        #expect(outcome.status == 0 && outcome.output.isEmpty, "\(outcome.output)")
    }
}

/// The pages of the source tree.
enum Pages {
    static let names = ["limpetd.8", "limpetctl.8", "limpet.toml.5", "limpet-metrics.7", "limpet-control.7"]

    static func path(of name: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("man/\(name)").path
    }

    static func read(_ name: String) throws -> ManualPage {
        ManualPage(try String(contentsOfFile: path(of: name), encoding: .utf8))
    }

    static func required(of name: String) -> [String] {
        switch name {
        case "limpet-control.7":
            ["NAME", "DESCRIPTION", "TO SHOW", "TO ACT", "REFUSALS", "FILES", "EXAMPLES", "SEE ALSO"]
        case "limpet-metrics.7": ["NAME", "DESCRIPTION", "EXAMPLES", "SEE ALSO"]
        case "limpet.toml.5": ["NAME", "DESCRIPTION", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO"]
        default: ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "DIAGNOSTICS", "SEE ALSO"]
        }
    }
}

extension ManualPage {
    /// Items that begin with a word to be typed as it stands, in outermost lists: verbs in one page, keys in another.
    var commands: [Item] {
        items.filter { item in
            let first = item.head.first { !$0.words.isEmpty }?.macro
            return item.depth == 1 && (first == "Ic" || first == "Cm")
        }
    }
}
