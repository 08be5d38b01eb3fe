import Addressing
import Stickiness

extension DaemonConfiguration {
    /// The whole configuration as canonical TOML: every setting written out, in a fixed order, without comments.
    ///
    /// Reading the text gives an equal value, but for the bytes of the key: only the path of its file is here. A
    /// path, user or group that was not given stays out, as it depends on who runs the daemon.
    public var canonicalText: String {
        var text = TOMLText()
        text.add(ConfigurationKeys.workers, number: workers, otherwise: "auto")
        text.add(ConfigurationKeys.maxConnections, number: maxConnections, otherwise: "auto")
        text.add(ConfigurationKeys.shutdownDrain, DurationText.render(shutdownDrain))
        for (key, value) in [
            (ConfigurationKeys.control, controlPath), (ConfigurationKeys.stateDirectory, stateDirectory),
            (ConfigurationKeys.user, user), (ConfigurationKeys.group, group),
        ] {
            if let value { text.add(key, value) }
        }
        text.add(ConfigurationKeys.logLevel, logLevel.rawValue)
        text.add(ConfigurationKeys.logFormat, logFormat.rawValue)
        if let hashKeyFile { text.add(ConfigurationKeys.hashKeyFile, hashKeyFile) }
        for service in services { service.write(to: &text) }
        return text.text
    }

    /// FNV-1a, 64 bits, of ``canonicalText``, as 16 hexadecimal digits: two daemons that show the same were told the
    /// same. (It does not see the bytes of the key; the mapping hash of each service does.)
    public var configHash: String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in canonicalText.utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension ServiceConfiguration {
    fileprivate func write(to text: inout TOMLText) {
        text.open("service")
        text.add(ConfigurationKeys.serviceName, name)
        let addresses = listeners.map { TOMLText.quote($0.description) }
        text.add(ConfigurationKeys.listen, raw: "[\(addresses.joined(separator: ", "))]")
        text.add(ConfigurationKeys.hashOn, hashOn.rawValue)
        text.add(ConfigurationKeys.ipv4Prefix, raw: "\(mask.ipv4)")
        text.add(ConfigurationKeys.ipv6Prefix, raw: "\(mask.ipv6)")
        text.add(ConfigurationKeys.connectTimeout, DurationText.render(connectTimeout))
        text.add(ConfigurationKeys.connectAttempts, raw: "\(connectAttempts)")
        text.add(ConfigurationKeys.idleTimeout, idleTimeout.map(DurationText.render) ?? "off")
        text.add(ConfigurationKeys.halfCloseTimeout, halfCloseTimeout.map(DurationText.render) ?? "off")
        text.add(ConfigurationKeys.userTimeout, userTimeout.map(DurationText.render) ?? "off")
        if let keepalive {
            let idle = "\(ConfigurationKeys.keepaliveIdle.name) = \"\(DurationText.render(keepalive.idle))\""
            let interval =
                "\(ConfigurationKeys.keepaliveInterval.name) = \"\(DurationText.render(keepalive.interval))\""
            let count = "\(ConfigurationKeys.keepaliveCount.name) = \(keepalive.count)"
            text.add(ConfigurationKeys.keepalive, raw: "{ \(idle), \(interval), \(count) }")
        } else {
            text.add(ConfigurationKeys.keepalive, "off")
        }
        text.add(ConfigurationKeys.sendProxy, sendProxy?.rawValue ?? "off")
        text.add(ConfigurationKeys.receiveBuffer, receiveBuffer.map(SizeText.render) ?? "auto")
        text.add(ConfigurationKeys.sendBuffer, sendBuffer.map(SizeText.render) ?? "auto")
        for backend in backends {
            text.open("service.backend")
            text.add(ConfigurationKeys.backendName, backend.name)
            text.add(ConfigurationKeys.address, backend.address.description)
            text.add(ConfigurationKeys.weight, raw: "\(backend.weight)")
            text.add(ConfigurationKeys.backendMaxConnections, number: backend.maxConnections, otherwise: "off")
        }
    }
}

/// Lines of TOML.
private struct TOMLText {
    private(set) var text = ""

    mutating func open(_ table: String) { text += "\n[[\(table)]]\n" }

    mutating func add(_ key: ConfigurationKey, _ value: String) { add(key, raw: TOMLText.quote(value)) }

    mutating func add(_ key: ConfigurationKey, number: Int?, otherwise word: String) {
        add(key, raw: number.map { "\($0)" } ?? TOMLText.quote(word))
    }

    mutating func add(_ key: ConfigurationKey, raw: String) { text += "\(key.name) = \(raw)\n" }

    /// A basic string. Control characters are refused where values are read, so two characters are left to escape.
    static func quote(_ value: String) -> String {
        var quoted = "\""
        for scalar in value.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }
}
