import Addressing

/// Reads `health` and `health-interval` of one table over the check that holds without them.
struct HealthReader {
    private let reader: TableReader

    init(_ reader: TableReader) {
        self.reader = reader
    }

    func read(into check: inout HealthCheck) {
        reader.read(ConfigurationKeys.healthInterval, into: &check.interval)
        // The same name and kind in both places.
        let key = ConfigurationKeys.health
        switch reader.nodes[key.name] {
        case nil: return
        case .string("off"): check = HealthReader.off(check)
        case .string("tcp"): check.kind = .tcp
        case .string(let text) where text.hasPrefix("http:"):
            var http = HTTPCheck()
            http.path = String(text.dropFirst(5))
            check.kind = .http(http)
            checkPath(http.path, place: reader.placeOfValue(key))
        case .table(let table): read(table, into: &check)
        case let node?: reader.refuse(key, node)
        }
    }

    /// Nothing of a check holds where there is none; so it is the same however it was switched off.
    private static func off(_ check: HealthCheck) -> HealthCheck {
        var off = HealthCheck()
        off.kind = .off
        off.interval = check.interval
        return off
    }

    private func read(_ table: [String: TOMLNode], into check: inout HealthCheck) {
        let inner = TableReader(
            nodes: table, place: reader.place + [ConfigurationKeys.health.name], form: reader.form,
            findings: reader.findings)
        inner.refuseUnknown(in: [.health])
        var word = check.kind.word
        inner.read(ConfigurationKeys.healthType, into: &word)
        refuseForeign(table, type: word, inner)
        switch word {
        case "off":
            check = HealthReader.off(check)
            return
        case "http":
            var http = HTTPCheck()
            if case .http(let inherited) = check.kind { http = inherited }
            readHTTP(inner, into: &http)
            check.kind = .http(http)
        case "expect":
            var expect = ExpectCheck()
            if case .expect(let inherited) = check.kind { expect = inherited }
            readExpect(inner, into: &expect)
            check.kind = .expect(expect)
        case "tls-hello": check.kind = .tlsHello
        case "agent":
            var send: String?
            if case .agent(let inherited) = check.kind { send = inherited }
            inner.read(ConfigurationKeys.healthSend, into: &send)
            check.kind = .agent(send: send)
            if check.port == nil, inner.nodes[ConfigurationKeys.healthPort.name] == nil {
                inner.findings.report(
                    inner.place, "a check of type \"agent\" needs \"port\": where the agent listens, beside the backend"
                )
            }
        default: check.kind = .tcp
        }
        var port: Int?
        inner.read(ConfigurationKeys.healthPort, into: &port)
        if let port { check.port = UInt16(port) }
        if case .address(let address) = inner.value(ConfigurationKeys.healthAddress) { check.address = address }
        inner.read(ConfigurationKeys.checkInterval, into: &check.interval)
        inner.read(ConfigurationKeys.fastInterval, into: &check.fastInterval)
        inner.read(ConfigurationKeys.downInterval, into: &check.downInterval)
        inner.read(ConfigurationKeys.checkTimeout, into: &check.timeout)
        inner.read(ConfigurationKeys.rise, into: &check.rise)
        inner.read(ConfigurationKeys.fall, into: &check.fall)
        if let fast = check.fastInterval, fast > check.interval {
            let (fastText, text) = (DurationText.render(fast), DurationText.render(check.interval))
            inner.findings.report(
                inner.place, "\"fast-interval\" (\(fastText)) is longer than \"interval\" (\(text)): make it shorter")
        }
    }

    /// Keys that the type has no use for.
    private func refuseForeign(_ table: [String: TOMLNode], type: String, _ inner: TableReader) {
        let http = [
            ConfigurationKeys.healthMethod, ConfigurationKeys.healthPath, ConfigurationKeys.healthHost,
            ConfigurationKeys.healthStatus, ConfigurationKeys.healthBody,
        ]
        let expect = [
            ConfigurationKeys.healthSend, ConfigurationKeys.healthExpect, ConfigurationKeys.healthRegex,
        ]
        for (owner, keys) in [("http", http), ("expect", expect)] where type != owner {
            for key in keys where table[key.name] != nil && !(type == "agent" && key == ConfigurationKeys.healthSend) {
                inner.findings.report(
                    inner.place,
                    "\"\(key.name)\" has no meaning for a check of type \"\(type)\": write type = \"\(owner)\", or leave it out"
                )
            }
        }
        guard type == "off" else { return }
        for name in table.keys.sorted() where name != ConfigurationKeys.healthType.name {
            if (http + expect).contains(where: { $0.name == name }) { continue }
            inner.findings.report(
                inner.place, "\"\(name)\" has no meaning for a check of type \"off\": leave it out")
        }
    }

    private func readHTTP(_ inner: TableReader, into http: inout HTTPCheck) {
        inner.read(ConfigurationKeys.healthMethod, into: &http.method)
        inner.read(ConfigurationKeys.healthPath, into: &http.path)
        inner.read(ConfigurationKeys.healthHost, into: &http.host)
        inner.read(ConfigurationKeys.healthBody, into: &http.body)
        if http.path.isEmpty, inner.nodes[ConfigurationKeys.healthPath.name] == nil {
            inner.findings.report(
                inner.place, "a check of type \"http\" needs \"path\": write path = \"/\" or the like")
        } else {
            checkPath(http.path, place: inner.placeOfValue(ConfigurationKeys.healthPath))
        }
        if let host = http.host, !HealthReader.isField(host) {
            inner.findings.report(
                inner.placeOfValue(ConfigurationKeys.healthHost),
                "\(quoted(host)) holds a space, a control character or a letter beyond ASCII: write a host name")
        }
        if http.body != nil, http.method == "HEAD" {
            inner.findings.report(
                inner.place, "\"expect-body\" cannot be met with method HEAD, which is answered without a body: use GET"
            )
        }
        var text: String?
        inner.read(ConfigurationKeys.healthStatus, into: &text)
        guard let text else { return }
        guard let list = StatusList(text) else {
            return inner.findings.report(
                inner.placeOfValue(ConfigurationKeys.healthStatus),
                "\(quoted(text)) is not a list of statuses such as \"200\", \"200-399\" or \"2xx, 404\"")
        }
        http.status = list
    }

    private func readExpect(_ inner: TableReader, into expect: inout ExpectCheck) {
        inner.read(ConfigurationKeys.healthSend, into: &expect.send)
        var text: String?
        var pattern: String?
        inner.read(ConfigurationKeys.healthExpect, into: &text)
        inner.read(ConfigurationKeys.healthRegex, into: &pattern)
        switch (text, pattern) {
        case (_?, _?):
            inner.findings.report(inner.place, "\"expect\" and \"expect-regex\" exclude each other: keep one")
        case (let text?, nil): expect.wanted = .text(text)
        case (nil, let pattern?):
            do throws(Pattern.SyntaxError) {
                expect.wanted = .pattern(try Pattern(pattern))
            } catch {
                inner.findings.report(
                    inner.placeOfValue(ConfigurationKeys.healthRegex), "\(quoted(pattern)) \(error.reason)")
            }
        case (nil, nil) where expect.wanted == nil:
            let isRefused = [ConfigurationKeys.healthExpect, ConfigurationKeys.healthRegex].contains {
                inner.nodes[$0.name] != nil
            }
            if isRefused { return }
            inner.findings.report(
                inner.place,
                "a check of type \"expect\" needs \"expect\" or \"expect-regex\": what the server has to send")
        case (nil, nil): break
        }
    }

    private func checkPath(_ path: String, place: [String]) {
        if !path.hasPrefix("/") {
            reader.findings.report(
                place, "\(quoted(path)) is not a path that begins with a slash (such as \"/health\")")
        } else if !HealthReader.isField(path) {
            reader.findings.report(
                place,
                "\(quoted(path)) holds a space, a control character or a letter beyond ASCII: write it as %XX")
        }
    }

    /// Visible ASCII: what fits into the head of a request without ending a part of it.
    private static func isField(_ text: String) -> Bool { text.utf8.allSatisfy { (0x21...0x7e).contains($0) } }
}

extension HealthCheck {
    /// As an inline table.
    /// - Parameter withInterval: false where `health-interval` says it.
    func table(withInterval: Bool) -> String {
        var parts: [(ConfigurationKey, String)] = [(ConfigurationKeys.healthType, TOMLText.quote(kind.word))]
        func add(_ key: ConfigurationKey, _ text: String?) {
            if let text { parts.append((key, TOMLText.quote(text))) }
        }
        switch kind {
        case .off, .tcp, .tlsHello: break
        case .http(let http):
            add(ConfigurationKeys.healthMethod, http.method)
            add(ConfigurationKeys.healthPath, http.path)
            add(ConfigurationKeys.healthHost, http.host)
            add(ConfigurationKeys.healthStatus, http.status.description)
            add(ConfigurationKeys.healthBody, http.body)
        case .expect(let expect):
            add(ConfigurationKeys.healthSend, expect.send)
            switch expect.wanted {
            case .text(let text): add(ConfigurationKeys.healthExpect, text)
            case .pattern(let pattern): add(ConfigurationKeys.healthRegex, pattern.description)
            case nil: break
            }
        case .agent(let send): add(ConfigurationKeys.healthSend, send)
        }
        if !isOff {
            add(ConfigurationKeys.healthAddress, address.map { "\($0)" })
            if let port { parts.append((ConfigurationKeys.healthPort, "\(port)")) }
            if withInterval { add(ConfigurationKeys.checkInterval, DurationText.render(interval)) }
            add(ConfigurationKeys.fastInterval, fastInterval.map(DurationText.render) ?? "auto")
            add(ConfigurationKeys.downInterval, downInterval.map(DurationText.render) ?? "auto")
            add(ConfigurationKeys.checkTimeout, DurationText.render(timeout))
            parts.append((ConfigurationKeys.rise, "\(rise)"))
            parts.append((ConfigurationKeys.fall, "\(fall)"))
        }
        return "{ " + parts.map { "\($0.0.name) = \($0.1)" }.joined(separator: ", ") + " }"
    }
}
