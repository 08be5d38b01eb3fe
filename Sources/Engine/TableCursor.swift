import CLayout
import Control
import Forwarding
import Linux

/// A walk over the connection table for the control server.
final class TableCursor: ConnectionCursor {
    private let controller: Controller
    private var position = 0
    private let now = Clock.now()

    init(_ controller: Controller) {
        self.controller = controller
    }

    func next(limit: Int) -> [ConnectionRow]? {
        let table = controller.table
        guard position < table.slotCount else { return nil }
        var rows: [ConnectionRow] = []
        var looked = 0
        while position < table.slotCount, looked < limit {
            looked += 1
            if table.isUntouched(position) {
                position = table.endOfWorker(position)
                continue
            }
            if let snapshot = table.snapshot(position), let row = controller.row(snapshot, now: now) {
                rows.append(row)
            }
            position += 1
        }
        return rows
    }

    func kernel(_ row: ConnectionRow) -> ConnectionRow.Kernel? {
        controller.table.kernelView(row.position, id: row.id.value).map { view in
            ConnectionRow.Kernel(
                client: view.client.map(side), backend: view.backend.map(side), pipeIn: view.pipeIn,
                pipeOut: view.pipeOut)
        }
    }

    private func side(_ path: KernelView.Side) -> ConnectionRow.Side {
        guard let tcp = path.tcp else {
            return ConnectionRow.Side(rttSeconds: nil, retransmits: nil, unacknowledged: nil, unread: path.unread)
        }
        return ConnectionRow.Side(
            rttSeconds: tcp.rtt == 0 ? nil : Double(tcp.rtt) / 1e6, retransmits: tcp.retransmits,
            unacknowledged: tcp.unacknowledged, unread: path.unread)
    }
}
