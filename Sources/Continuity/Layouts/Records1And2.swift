#if !LIMPET_LAYOUT_1
    internal import CLayout

    // Field by field, so that the compiler says when one of them changes its type. What layout 2 says beyond layout 1
    // would be lost on the way back; it says nothing beyond it, so both ways keep everything.

    extension limpet_record_2 {
        /// A record of layout 1 as layout 2 writes it.
        init(_ old: limpet_record_1) {
            self.init()
            sequence = old.sequence
            generation = old.generation
            service = old.service
            listener = old.listener
            backend = old.backend
            home = old.home
            descriptor = old.descriptor
            state = old.state
            flags = old.flags
            attempt = old.attempt
            away_reason = old.away_reason
            events = old.events
            header = old.header
            header_left = old.header_left
            direction = old.direction
            delivered = old.delivered
            opened = old.opened
            active = old.active
            deadline = old.deadline
            source_key = old.source_key
            id = old.id
            timer_next = old.timer_next
            timer_previous = old.timer_previous
            client = old.client
            peer = old.peer
            client_local = old.client_local
            backend_address = old.backend_address
            backend_local = old.backend_local
            timer_slot = old.timer_slot
            end = old.end
            end_flags = old.end_flags
            connect_time = old.connect_time
        }
    }

    extension limpet_record_1 {
        /// A record of layout 2 as layout 1 wrote it.
        init(_ new: limpet_record_2) {
            self.init()
            sequence = new.sequence
            generation = new.generation
            id = new.id
            descriptor = new.descriptor
            state = new.state
            flags = new.flags
            attempt = new.attempt
            away_reason = new.away_reason
            events = new.events
            direction = new.direction
            delivered = new.delivered
            opened = new.opened
            active = new.active
            deadline = new.deadline
            source_key = new.source_key
            service = new.service
            listener = new.listener
            backend = new.backend
            home = new.home
            timer_next = new.timer_next
            timer_previous = new.timer_previous
            client = new.client
            peer = new.peer
            client_local = new.client_local
            backend_address = new.backend_address
            backend_local = new.backend_local
            timer_slot = new.timer_slot
            header = new.header
            header_left = new.header_left
            end = new.end
            end_flags = new.end_flags
            connect_time = new.connect_time
        }
    }
#endif
