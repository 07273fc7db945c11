package session

// Limits bound what waits for one client.
type Limits struct {
	MaxQueued      int // messages; 0: 1000
	MaxQueuedBytes int // 0: 16 MiB
}

func (l Limits) withDefaults() Limits {
	if l.MaxQueued <= 0 {
		l.MaxQueued = 1000
	}
	if l.MaxQueuedBytes <= 0 {
		l.MaxQueuedBytes = 16 << 20
	}
	return l
}
