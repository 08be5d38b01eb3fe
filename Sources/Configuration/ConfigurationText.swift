import Addressing
import Backends
import Stickiness

extension DaemonConfiguration {
    /// The whole configuration as canonical TOML: every setting written out, in a fixed order, without comments.
    ///
    /// Reading the text gives an equal value, but for the bytes of the key: only the path of its file is here. A
    /// path, user or group that was not given stays out, as it depends on who runs the daemon.
    public var canonicalText: String {
        var text = TOMLText()
        text.add(settings)
        for service in services { service.write(to: &text) }
        return text.text
    }

    /// FNV-1a, 64 bits, of ``canonicalText``, as 16 hexadecimal digits: two daemons that show the same were told the
    /// same. The contents of files of networks count, too. (It does not see the bytes of the key; the mapping hash of each service does.)
    public var configHash: String {
        var digest = Digest()
        digest.add(canonicalText)
        for path in networkFiles.keys.sorted() { digest.add("\n" + NetworkFile.text(networkFiles[path] ?? [])) }
        return digest.text
    }

    /// What is set for the whole daemon.
    var settings: [Setting] {
        let settings: [Setting?] = [
            Setting(ConfigurationKeys.workers, number: workers, otherwise: "auto"),
            Setting(ConfigurationKeys.maxConnections, number: maxConnections, otherwise: "auto"),
            Setting(ConfigurationKeys.shutdownDelay, DurationText.render(shutdownDelay)),
            Setting(ConfigurationKeys.shutdownDrain, DurationText.render(shutdownDrain)),
            Setting(ConfigurationKeys.removedDeadline, removedDeadline.map(DurationText.render) ?? "never"),
            controlPath.map { Setting(ConfigurationKeys.control, $0) },
            stateDirectory.map { Setting(ConfigurationKeys.stateDirectory, $0) },
            user.map { Setting(ConfigurationKeys.user, $0) },
            group.map { Setting(ConfigurationKeys.group, $0) },
            Setting(ConfigurationKeys.sandbox, sandbox.rawValue),
            Setting(ConfigurationKeys.logLevel, logLevel.rawValue),
            Setting(ConfigurationKeys.logFormat, logFormat.rawValue),
            Setting(ConfigurationKeys.accessLog, accessLog.rawValue),
            Setting(ConfigurationKeys.metrics, metrics?.description ?? "off"),
            Setting(ConfigurationKeys.statusPage, raw: "\(statusPage.isServed)"),
            Setting(ConfigurationKeys.statusPageClients, raw: "\(statusPage.showsClients)"),
            Setting(
                ConfigurationKeys.statusPageHosts,
                raw: "[\(statusPage.hosts.map(TOMLText.quote).joined(separator: ", "))]"),
            hashKeyFile.map { Setting(ConfigurationKeys.hashKeyFile, $0) },
            Setting(ConfigurationKeys.affinityEntries, raw: "\(affinityEntries)"),
        ]
        return settings.compactMap { $0 } + controlSettings + nameSettings
    }
}

extension ServiceConfiguration {
    /// How it behaves: everything but its name, its listeners and its backends.
    var settings: [Setting] {
        [
            Setting(ConfigurationKeys.hashOn, hashOn.rawValue),
            Setting(ConfigurationKeys.ipv4Prefix, raw: "\(mask.ipv4)"),
            Setting(ConfigurationKeys.ipv6Prefix, raw: "\(mask.ipv6)"),
            Setting(ConfigurationKeys.connectTimeout, DurationText.render(connectTimeout)),
            Setting(ConfigurationKeys.connectAttempts, raw: "\(connectAttempts)"),
        ] + source.settings + [
            Setting(ConfigurationKeys.passiveFall, number: passiveFall, otherwise: "off"),
            Setting(ConfigurationKeys.slowStart, slowStart.map(DurationText.render) ?? "off"),
            Setting(ConfigurationKeys.whenDown, whenDown.rawValue),
            Setting(ConfigurationKeys.whenAllDown, whenAllDown.rawValue),
            Setting(ConfigurationKeys.serviceMaxConnections, number: maxConnections, otherwise: "off"),
            Setting(ConfigurationKeys.maxConnectionsPerClient, number: maxConnectionsPerClient, otherwise: "off"),
            Setting(ConfigurationKeys.acceptRatePerClient, number: acceptRatePerClient, otherwise: "off"),
            Setting(ConfigurationKeys.maxConnecting, raw: "\(maxConnecting)"),
            maxLoadFactor.map { Setting(ConfigurationKeys.maxLoadFactor, raw: HundredthsText.render($0)) }
                ?? Setting(ConfigurationKeys.maxLoadFactor, "off"),
            Setting(ConfigurationKeys.idleTimeout, idleTimeout.map(DurationText.render) ?? "off"),
            Setting(ConfigurationKeys.halfCloseTimeout, halfCloseTimeout.map(DurationText.render) ?? "off"),
            Setting(ConfigurationKeys.userTimeout, userTimeout.map(DurationText.render) ?? "off"),
            keepalive.map { Setting(ConfigurationKeys.keepalive, raw: $0.table) }
                ?? Setting(ConfigurationKeys.keepalive, "off"),
            Setting(ConfigurationKeys.sendProxy, sendProxy?.rawValue ?? "off"),
            Setting(ConfigurationKeys.clientFirst, raw: "\(isClientFirst)"),
            Setting(ConfigurationKeys.health, raw: health.table(withInterval: false)),
            Setting(ConfigurationKeys.healthInterval, DurationText.render(health.interval)),
            Setting(ConfigurationKeys.receiveBuffer, receiveBuffer.map(SizeText.render) ?? "auto"),
            Setting(ConfigurationKeys.sendBuffer, sendBuffer.map(SizeText.render) ?? "auto"),
        ] + proxySettings + accessSettings
    }

    fileprivate func write(to text: inout TOMLText) {
        text.open("service")
        text.add([
            Setting(ConfigurationKeys.serviceName, name),
            Setting(ConfigurationKeys.listen, raw: "[\(listeners.map(\.text).joined(separator: ", "))]"),
        ])
        text.add(settings)
        for backend in backends {
            text.open("service.backend")
            text.add([Setting(ConfigurationKeys.backendName, backend.name)])
            text.add(backend.settings)
        }
    }
}

extension Keepalive {
    /// As an inline table.
    fileprivate var table: String {
        let idle = "\(ConfigurationKeys.keepaliveIdle.name) = \"\(DurationText.render(idle))\""
        let interval = "\(ConfigurationKeys.keepaliveInterval.name) = \"\(DurationText.render(interval))\""
        return "{ \(idle), \(interval), \(ConfigurationKeys.keepaliveCount.name) = \(count) }"
    }
}

extension BackendConfiguration {
    /// Everything but its name.
    var settings: [Setting] {
        whereabouts + (service == nil ? [Setting(ConfigurationKeys.weight, raw: "\(weight)")] : []) + [
            Setting(ConfigurationKeys.backendMaxConnections, number: maxConnections, otherwise: "off"),
            Setting(ConfigurationKeys.backup, raw: "\(isBackup)"),
        ] + (health.map { [Setting(ConfigurationKeys.backendHealth, raw: $0.table(withInterval: true))] } ?? [])
    }
}

/// One setting, written out. The text of a configuration is made of these, and so is what tells two of them apart.
struct Setting: Equatable {
    let key: ConfigurationKey
    /// As a person would say it, without quotes.
    let value: String
    /// Whether TOML wants quotes around it.
    let isText: Bool

    init(_ key: ConfigurationKey, _ value: String) {
        self.key = key
        self.value = value
        isText = true
    }

    init(_ key: ConfigurationKey, raw: String) {
        self.key = key
        value = raw
        isText = false
    }

    init(_ key: ConfigurationKey, number: Int?, otherwise word: String) {
        if let number { self.init(key, raw: "\(number)") } else { self.init(key, word) }
    }
}

/// Lines of TOML.
struct TOMLText {
    private(set) var text = ""

    mutating func open(_ table: String) { text += "\n[[\(table)]]\n" }

    mutating func add(_ settings: [Setting]) {
        for setting in settings {
            text += "\(setting.key.name) = \(setting.isText ? TOMLText.quote(setting.value) : setting.value)\n"
        }
    }

    /// A basic string.
    static func quote(_ value: String) -> String {
        var quoted = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\": quoted += "\\\(scalar)"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case "\0"..<" ", "\u{7f}":
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
