import CLayout
import Configuration
import Continuity
import Control
import Forwarding
import Linux
import Logging

/// What changes fast, and how much the log says.
extension Controller {
    func top() -> TopReport {
        var pipes: UInt64 = 0
        var held: UInt64 = 0
        var highest: Int32 = 0
        let own = (0..<region.workerCount).map { index in
            let worker = region.worker(index)
            pipes &+= limpet_load64(&worker.pointee.pipes)
            held &+= limpet_load64(&worker.pointee.pipes_held)
            highest = max(highest, limpet_load_signed32(&worker.pointee.highest))
            return TopReport.Worker(
                worker: index, connections: Int(clamping: limpet_load64(&worker.pointee.open)),
                processorSeconds: Double(workers.processorTime(ofWorker: index)) / 1e9)
        }
        return TopReport(
            uptimeSeconds: Double(Clock.now() - region.continuity.pointee.started) / 1e9, connections: region.open,
            maxConnections: Int(clamping: region.header.pointee.limit),
            descriptors: ProcessUsage.openDescriptors(below: highest + 512), descriptorLimit: budget.limit,
            pipes: Int(clamping: pipes), pipesHeld: Int(clamping: held), maxPipes: budget.pipeCap, workers: own,
            backends: backends(), listeners: listeners(), sourcePorts: sourcePorts()?.first)
    }

    func logLevel() -> LogReport {
        LogReport(
            level: LogReport.Level(Log.level(in: region)), levelConfigured: LogReport.Level(configuredLogLevel))
    }

    func setLogLevel(_ level: LogReport.Level, by caller: Caller) -> LogReport {
        let former = LogReport.Level(Log.level(in: region))
        let wanted = Logger.Level(rawValue: level.rawValue) ?? .info
        Log.setLevel(wanted, isConfigured: wanted == configuredLogLevel, in: region)
        audit("log \(level.rawValue)", caller)
        if former != level {
            events.post(ControlEvent(.log, old: former.rawValue, new: level.rawValue, uid: caller.uid))
        }
        return logLevel()
    }

    private var configuredLogLevel: Logger.Level {
        Logger.Level(rawValue: request.configuration.logLevel.rawValue) ?? .info
    }
}

extension LogReport.Level {
    init(_ level: Logger.Level) {
        self = LogReport.Level(rawValue: level.rawValue) ?? .info
    }
}
