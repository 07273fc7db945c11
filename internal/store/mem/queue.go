package mem

import (
	"cmp"
	"slices"

	"github.com/iotctl/iotctl/internal/store"
)

// queue holds Queued and Released records in the order of Seq. They come nearly
// in that order and go mostly from the front.
type queue []entry

type entry struct {
	seq    uint64
	record store.Record
}

func (q queue) search(seq uint64) (i int, found bool) {
	if n := len(q); n > 0 && q[n-1].seq < seq {
		return n, false
	}
	return slices.BinarySearchFunc(q, seq, func(e entry, seq uint64) int { return cmp.Compare(e.seq, seq) })
}

func (q *queue) put(seq uint64, r store.Record) {
	i, found := q.search(seq)
	if found {
		(*q)[i].record = r
		return
	}
	*q = slices.Insert(*q, i, entry{seq, r})
}

func (q *queue) remove(seq uint64) {
	switch i, found := q.search(seq); {
	case !found:
	case len(*q) == 1:
		*q = nil
	case i == 0:
		(*q)[0] = entry{}
		*q = (*q)[1:]
	default:
		*q = slices.Delete(*q, i, i+1)
	}
}

func (q *queue) removeBelow(seq uint64) {
	if n, _ := q.search(seq); n > 0 {
		*q = slices.Clone((*q)[n:])
	}
}

// load returns what Load gives for the queue.
func (q queue) load(client string) []store.Record {
	var all []store.Record
	backlog := store.Backlog{ClientID: client}
	for _, e := range q {
		m, ok := e.record.(store.Queued)
		if !ok {
			all = append(all, e.record)
			continue
		}
		if backlog.Messages == 0 {
			backlog.First = e.seq
		}
		backlog.Last = e.seq
		backlog.Messages++
		backlog.Bytes += m.Message.Size()
	}
	if backlog.Messages > 0 {
		all = append(all, backlog)
	}
	return all
}

func (q queue) page(after, through uint64) []store.Queued {
	i, found := q.search(after)
	if found {
		i++
	}
	var page []store.Queued
	bytes := 0
	for ; i < len(q) && q[i].seq <= through && len(page) < store.PageMessages && bytes <= store.PageBytes; i++ {
		if m, ok := q[i].record.(store.Queued); ok {
			page = append(page, m)
			bytes += m.Message.Size()
		}
	}
	return page
}
