package decode

// datagram reads the messages of one datagram.
func (l *level) datagram(e *Engine, h *half, p *piece) error {
	b := p.bytes
	for n := 0; n < len(b); {
		k, err := l.one(e, h, p, b[n:], n)
		if err != nil {
			return err
		}
		n += k
	}
	h.off += int64(len(b))
	h.lost, h.failed = false, false
	return nil
}
