import Addressing
import Control

extension Column where Row == BackendRow {
    /// - Parameter now: the moment that `since` is measured to.
    static func backends(at now: Timestamp) -> [Column] {
        [
            Column(title: "BACKEND", cut: .middle) { $0.fullName.description },
            Column(title: "ADDRESS") { $0.address.description },
            Column(title: "STATE", text: { $0.state.rawValue }, tone: { $0.state.tone }),
            Column(title: "INTENT", isWideOnly: true) { $0.intent.rawValue },
            Column(title: "HEALTH", isWideOnly: true) { $0.health.rawValue },
            Column(
                title: "WEIGHT", alignment: .right,
                text: { $0.weightSince == nil ? String($0.weight) : "\($0.weight) (\($0.weightConfigured))" },
                tone: { $0.weightSince == nil ? .none : .warning }),
            Column(title: "CONFIGURED", alignment: .right, isWideOnly: true) { String($0.weightConfigured) },
            Column(title: "CONNS", alignment: .right) { String($0.connections) },
            Column(title: "CONNECTING", alignment: .right, isWideOnly: true) { String($0.connecting) },
            Column(title: "AWAY", alignment: .right) { String($0.away) },
            Column(title: "TOTAL", alignment: .right) { String($0.total) },
            Column(title: "IN", alignment: .right, isWideOnly: true) { Units.bytes($0.bytesIn) },
            Column(title: "OUT", alignment: .right, isWideOnly: true) { Units.bytes($0.bytesOut) },
            Column(title: "FAILURES", alignment: .right, isWideOnly: true) { String($0.connectFailures) },
            Column(title: "FALLBACKS", alignment: .right, isWideOnly: true) { String($0.fallbacks) },
            Column(title: "SINCE", alignment: .right) { Units.age(from: $0.since, to: now) },
            Column(title: "CLOSES-IN", alignment: .right, isWideOnly: true) { row in
                row.closesAt.map { Units.age(from: now, to: $0) } ?? "-"
            },
            Column(title: "DRAIN", cut: .end, isWideOnly: true) { $0.drain?.sentence ?? "-" },
            Column(title: "NAME", cut: .end, isWideOnly: true) { $0.resolution?.name ?? "-" },
            Column(title: "RESOLVED", cut: .end, isWideOnly: true) { row in
                guard let resolution = row.resolution else { return "-" }
                return resolution.error
                    ?? (resolution.addresses.isEmpty ? "-" : resolution.addresses.joined(separator: " "))
            },
            Column(title: "CHECK", isWideOnly: true) { $0.check },
            Column(title: "NEXT-CHECK", alignment: .right, isWideOnly: true) { row in
                row.nextCheck.map { Units.age(from: now, to: $0) } ?? "-"
            },
            Column(title: "LAST-CHECK", cut: .end, isWideOnly: true) { $0.checkResult ?? "-" },
        ]
    }
}

extension Column where Row == ConnectionRow {
    static var connections: [Column] {
        [
            Column(title: "ID") { $0.id.description },
            Column(title: "SERVICE", isWideOnly: true) { $0.service },
            Column(title: "LISTENER", isWideOnly: true) { $0.listener },
            Column(title: "CLIENT") { $0.client.description },
            Column(title: "PEER", isWideOnly: true) { $0.peer.description },
            Column(title: "CLIENT-LOCAL", isWideOnly: true) { $0.clientLocal?.description ?? "-" },
            Column(title: "BACKEND", cut: .middle) { $0.service + "/" + $0.backend },
            Column(title: "HOME", isWideOnly: true) { $0.home },
            Column(title: "BACKEND-ADDRESS", isWideOnly: true) { $0.backendAddress?.description ?? "-" },
            Column(title: "BACKEND-LOCAL", isWideOnly: true) { $0.backendLocal?.description ?? "-" },
            Column(title: "STATE") { $0.state.rawValue },
            Column(title: "AGE", alignment: .right) { Units.age($0.ageSeconds) },
            Column(title: "IDLE", alignment: .right) { Units.age($0.idleSeconds) },
            Column(title: "IN", alignment: .right, isWideOnly: true) { Units.bytes($0.bytesIn) },
            Column(title: "OUT", alignment: .right, isWideOnly: true) { Units.bytes($0.bytesOut) },
            Column(title: "BYTES", alignment: .right) { Units.bytes($0.bytesIn &+ $0.bytesOut) },
            Column(title: "WORKER", alignment: .right, isWideOnly: true) { String($0.worker) },
            Column(title: "AWAY", isWideOnly: true) { $0.awayReason ?? "-" },
        ] + side("CLIENT") { $0.client } + side("BACKEND") { $0.backend } + [
            Column(title: "PIPE-IN", alignment: .right, isWideOnly: true) { bytes($0.kernel?.pipeIn) },
            Column(title: "PIPE-OUT", alignment: .right, isWideOnly: true) { bytes($0.kernel?.pipeOut) },
        ]
    }

    /// What the kernel says of one socket.
    private static func side(
        _ name: String, _ side: @escaping (ConnectionRow.Kernel) -> ConnectionRow.Side?
    ) -> [Column] {
        [
            Column(title: "\(name)-RTT", alignment: .right, isWideOnly: true) {
                $0.kernel.flatMap(side)?.rttSeconds.map { "\(Units.milliseconds($0 * 1000))ms" } ?? "-"
            },
            Column(title: "\(name)-RETRANS", alignment: .right, isWideOnly: true) {
                $0.kernel.flatMap(side)?.retransmits.map { String($0) } ?? "-"
            },
            Column(title: "\(name)-UNACKED", alignment: .right, isWideOnly: true) {
                bytes($0.kernel.flatMap(side)?.unacknowledged)
            },
            Column(title: "\(name)-UNREAD", alignment: .right, isWideOnly: true) {
                bytes($0.kernel.flatMap(side)?.unread)
            },
        ]
    }

    private static func bytes(_ count: Int?) -> String { count.map { Units.bytes(UInt64($0)) } ?? "-" }
}

extension Column where Row == ListenerRow {
    static var listeners: [Column] {
        [
            Column(title: "SERVICE", cut: .middle) { $0.service },
            Column(title: "ADDRESS") { $0.name },
            Column(title: "STATE", text: { $0.state.rawValue }, tone: { $0.state == .accepting ? .good : .warning }),
            Column(title: "CONNS", alignment: .right) { String($0.connections) },
            Column(title: "ACCEPTED", alignment: .right) { String($0.accepted) },
            Column(title: "REFUSED", alignment: .right) { String($0.refused) },
            Column(title: "OPTIONS", isWideOnly: true) {
                $0.options.isEmpty ? "-" : $0.options.joined(separator: ",")
            },
            Column(title: "REASON", cut: .end) { $0.reason ?? "-" },
        ]
    }
}

extension DrainRow {
    /// As in `shedding 20/s, 3 min left` and `paused: ws2 is down`.
    var sentence: String {
        let left = secondsLeft.map { ", \(Units.about($0)) left" } ?? ""
        return switch phase {
        case .shedding: "shedding" + (rate.map { " " + Units.rate($0) } ?? "") + left
        case .paused: "paused" + (reason.map { ": \($0)" } ?? "")
        case .grace: "begins in \(Units.about(graceSeconds))" + left
        case .kept: "kept" + left
        case .closing, .done: phase.rawValue
        }
    }
}

/// A backend with its place in a client's order of preference.
struct RankedPreference {
    var rank: Int
    var preference: WhereReport.Preference
    var isChosen: Bool
}

extension Column where Row == RankedPreference {
    static var preferences: [Column] {
        [
            Column(title: "ORDER", alignment: .right) { String($0.rank) },
            Column(
                title: "BACKEND", cut: .middle, text: { $0.preference.backend },
                tone: { $0.isChosen ? .good : .none }),
            Column(title: "ELIGIBLE") { $0.preference.eligible ? "yes" : "no" },
            Column(title: "REASON", cut: .end) { $0.preference.reason ?? ($0.isChosen ? "chosen" : "-") },
        ]
    }
}

extension BackendRow.State {
    var tone: Style.Tone {
        switch self {
        case .up: .good
        case .checking, .draining, .full, .removed: .warning
        case .drained, .maintenance: .none
        case .down: .bad
        }
    }
}
