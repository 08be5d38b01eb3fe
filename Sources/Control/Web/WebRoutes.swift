internal import NIOCore
internal import NIOHTTP1

/// What a request of the HTTP port is answered with.
struct WebAnswer {
    var status: HTTPResponseStatus = .ok
    var type = "text/plain; charset=utf-8"
    var headers: [(String, String)] = []
    var body: ByteBuffer
    /// What the status page is told from now on comes instead of a body.
    var isStream = false
}

/// What of the status page is served.
public struct StatusPageOptions: Sendable, Equatable {
    public var isServed = false
    /// Names, beside addresses and localhost, by which the page may be asked for.
    public var hosts: [String] = []

    public init() {}
}

/// Paths and methods of the HTTP port. Lives on the control event loop.
final class WebRoutes {
    private let plane: any ControlPlane
    let version: String
    let board: StatusBoard
    var page = StatusPageOptions() {
        didSet { hosts = HostCheck(page.hosts) }
    }
    private var hosts = HostCheck()
    /// Whether this machine alone can reach the port.
    private let isLocal: Bool
    private let keptMetrics: KeptMetrics

    /// Pages that may be open at once: the other clients' places are kept for those who read metrics.
    static let mostPages = WebLimits.mostClients / 2

    init(plane: any ControlPlane, version: String, board: StatusBoard, isLocal: Bool) {
        self.isLocal = isLocal
        keptMetrics = KeptMetrics(plane)
        self.plane = plane
        self.version = version
        self.board = board
    }

    func answer(_ head: HTTPRequestHead) -> WebAnswer {
        guard head.method == .GET || head.method == .HEAD else {
            return text(.methodNotAllowed, "only GET and HEAD are answered here", [("Allow", "GET, HEAD")])
        }
        switch path(head.uri) {
        case "/metrics": return metrics(head)
        case "/ready":
            let report = plane.readiness()
            return report.ready
                ? text(.ok, "ready") : text(.serviceUnavailable, "not ready: \(report.reason ?? "no reason is given")")
        case "/live": return text(.ok, "live")
        case "/" where page.isServed: return onPage(head) { document() }
        case "/events" where page.isServed: return onPage(head) { stream() }
        default:
            return text(
                .notFound, "no such page; there are \(page.isServed ? "/, " : "")/metrics, /ready and /live")
        }
    }

    /// A line of text.
    func text(_ status: HTTPResponseStatus, _ line: String, _ headers: [(String, String)] = []) -> WebAnswer {
        WebAnswer(status: status, headers: headers, body: ByteBuffer(string: line + "\n"))
    }

    /// Where the port is for this machine alone, a page of another site could have a browser here read them all the same, by
    /// a name of its own. Programs that send no Host are no browsers; on other addresses names are how they are asked for.
    private func metrics(_ head: HTTPRequestHead) -> WebAnswer {
        if isLocal, let host = head.headers["host"].first, !hosts.allows(host) { return misdirected }
        return WebAnswer(type: metricsMediaType, body: keptMetrics.body())
    }

    private var misdirected: WebAnswer {
        text(
            .misdirectedRequest,
            "this name is not one of the daemon's: ask by its address, or list the name in \"status-page-hosts\"")
    }

    // MARK: The status page

    private func onPage(_ head: HTTPRequestHead, _ answer: () -> WebAnswer) -> WebAnswer {
        let given = head.headers["host"]
        return given.count == 1 && hosts.allows(given[0]) ? answer() : misdirected
    }

    private func document() -> WebAnswer {
        var generator = SystemRandomNumberGenerator()
        let nonce = (0..<2).map { _ in String(generator.next(), radix: 16) }.joined()
        return WebAnswer(
            type: "text/html; charset=utf-8",
            headers: [
                ("Content-Security-Policy", PageMarkup.policy(nonce: nonce)), ("Referrer-Policy", "no-referrer"),
                ("X-Frame-Options", "DENY"), ("Cross-Origin-Resource-Policy", "same-origin"),
                ("Cross-Origin-Opener-Policy", "same-origin"),
            ], body: ByteBuffer(string: PageMarkup.document(nonce: nonce)))
    }

    private func stream() -> WebAnswer {
        guard board.pageCount < WebRoutes.mostPages else {
            return text(
                .serviceUnavailable, "the page is open \(board.pageCount) times already: close one",
                [("Retry-After", "30")])
        }
        return WebAnswer(
            type: "text/event-stream", headers: [("Cross-Origin-Resource-Policy", "same-origin")],
            body: ByteBuffer(), isStream: true)
    }

    /// Of origin form and absolute form alike (RFC 9112 section 3.2), without the query. Nothing here is written with
    /// percent signs, so none is decoded.
    private func path(_ target: String) -> Substring {
        var rest = Substring(target)
        for scheme in ["http://", "https://"] where rest.hasPrefix(scheme) {
            rest = rest.dropFirst(scheme.count)
            rest = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
        }
        return rest.prefix { $0 != "?" }
    }
}
