import CLayout
import Configuration
import Control
import Forwarding
import Linux
import Logging
import NIOCore

/// How many local ports are left. The census is taken only while somebody asks, or where they may be running out.
extension Controller {
    /// What is known of the ports. On the control event loop; the census itself is not.
    struct Ports {
        /// The last census; nil: there has been none.
        var last: PortCensus.Result?
        /// When it was taken, in ns of ``Clock``.
        var time: UInt64 = 0
        /// Until when somebody who has asked may ask again.
        var askedUntil: UInt64 = 0
        /// Ports that were told to run out.
        var warned: Set<String> = []
        var hasToldFailure = false
        /// By slot: connections that were ever made, each ten seconds, the latest last.
        var totals: [[UInt64]] = []
        /// When that was noted last, in tens of seconds.
        var moment: UInt64 = 0
        var isUnderWay = false
        fileprivate let fresh = Locked<(result: PortCensus.Result, time: UInt64)?>(nil)
    }

    /// From one census to the next, at least, in ns: never more than a fiftieth of a processor's time is spent on it.
    private var interval: UInt64 { max(5_000_000_000, (ports.last?.cost ?? 0) * 50) }
    /// Whoever has asked may want to know again for so long: a scrape, say.
    private static let lease: UInt64 = 60_000_000_000
    /// What is older than this is not told to anybody, unless counting takes very long.
    private static let stale: UInt64 = 15_000_000_000

    /// The ports in use, nearest to the end first; nil: they could not be counted in time.
    func sourcePorts() -> [SourcePortsRow]? {
        let now = Clock.now()
        ports.askedUntil = now + Controller.lease
        if ports.last == nil || now - ports.time > max(Controller.stale, interval), let done = takeCensus() {
            _ = done.wait(milliseconds: 50)
            takeFresh()
        }
        guard let last = ports.last else { return nil }
        return last.rows.sorted { $0.share > $1.share }
    }

    /// Once a second.
    func notePorts() {
        takeFresh()
        noteTotals()
        let now = Clock.now()
        guard now - ports.time >= interval, ports.askedUntil > now || mayRunOut else { return }
        _ = takeCensus()
    }

    /// Starts a census, unless one is under way.
    /// - Returns: completes when it has been taken.
    private func takeCensus() -> Completion? {
        guard !ports.isUnderWay else { return nil }
        let done = Completion()
        let census = PortCensus(targets: topology.portTargets, table: table)
        let fresh = ports.fresh
        do throws(SystemError) {
            try Threads.startDetached("ports") {
                let result = census.count()
                fresh.with { $0 = (result, Clock.now()) }
                done.complete()
            }
        } catch {
            return nil
        }
        ports.isUnderWay = true
        return done
    }

    private func takeFresh() {
        let fresh = ports.fresh.with { fresh in
            defer { fresh = nil }
            return fresh
        }
        guard let (result, time) = fresh else { return }
        ports.isUnderWay = false
        ports.last = result
        ports.time = time
        if let failure = result.failure, !ports.hasToldFailure {
            ports.hasToldFailure = true
            log.warning(
                """
                the kernel does not say which local ports are taken: \(failure); those of connections that are over are not \
                counted (load tcp_diag, and allow AF_NETLINK)
                """)
        }
        warn(result.rows)
    }

    /// Says when nine ports of ten are taken, once until two of ten are free again.
    private func warn(_ rows: [SourcePortsRow]) {
        for row in rows {
            let key = "\(row.service)/\(row.backend) \(row.source)"
            if row.share < 0.8 { ports.warned.remove(key) }
            guard row.share >= 0.9, ports.warned.insert(key).inserted else { continue }
            log.warning(
                "local ports run out: add addresses to source, widen net.ipv4.ip_local_port_range, or add backends",
                metadata: [
                    "backend": "\(row.service)/\(row.backend)", "source": "\(row.source)", "used": "\(row.used)",
                    "limit": "\(row.limit ?? 0)",
                ])
            events.post(
                ControlEvent(
                    .limit, service: row.service, backend: row.backend, new: "source-ports",
                    cause: "local ports run out: \(row.text)"))
        }
    }

    // MARK: Whether it is worth counting

    /// Notes how many connections were made.
    private func noteTotals() {
        let now = Clock.now() / 10_000_000_000
        guard now != ports.moment else { return }
        ports.moment = now
        ports.totals.append(topology.backends.indices.map { totals($0).total })
        // A TIME_WAIT lasts a minute.
        if ports.totals.count > 7 { ports.totals.removeFirst() }
    }

    /// Whether some backend's connections, those of the last minute included, may have taken half of its ports.
    private var mayRunOut: Bool {
        guard let limit = ProcessUsage.localPortCount else { return false }
        let oldest = ports.totals.first ?? []
        for slot in topology.backends.indices where topology.backends[slot].isLive {
            guard let service = topology.backends[slot].service else { continue }
            let source = topology.services[service].configuration.source
            if source.isTransparent { continue }
            let sources = source.addresses(towards: topology.backends[slot].configuration.address)
            let capacity = limit * max(1, sources.count)
            let sums = totals(slot)
            let made = slot < oldest.count && sums.total > oldest[slot] ? sums.total - oldest[slot] : 0
            if (sums.open &+ sums.connecting &+ made) &* 2 >= UInt64(capacity) { return true }
        }
        return false
    }
}
