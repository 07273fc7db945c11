package mqttsn

// publications wait in order. Their memory is used again.
type publications struct {
	ring  []publication
	head  int
	count int
}

func (q *publications) len() int { return q.count }

func (q *publications) first() *publication { return &q.ring[q.head] }

// push appends p with a copy of its payload.
func (q *publications) push(p Publication) {
	if q.count == len(q.ring) {
		larger := make([]publication, max(4, 2*len(q.ring)))
		for i := range q.count {
			larger[i] = q.ring[(q.head+i)%len(q.ring)]
		}
		q.ring, q.head = larger, 0
	}
	slot := &q.ring[(q.head+q.count)%len(q.ring)]
	payload := append(slot.Payload[:0], p.Payload...)
	*slot = publication{Publication: p, live: true}
	slot.Payload = payload
	q.count++
}

// maxKept is the most that an empty place keeps of a payload's memory.
const maxKept = 4 << 10

func (q *publications) pop() {
	slot := q.first()
	*slot = publication{Publication: Publication{Payload: slot.Payload[:0]}}
	if cap(slot.Payload) > maxKept {
		slot.Payload = nil
	}
	q.head = (q.head + 1) % len(q.ring)
	q.count--
}

// take moves the first one to p, whose memory goes the other way.
func (q *publications) take(p *publication) {
	slot := q.first()
	*p, slot.Payload = *slot, p.Payload
	q.pop()
}
