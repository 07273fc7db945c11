package main

import (
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/traffic"
)

// newSubTable makes the table of --table; nil without it.
func newSubTable(s *settings, t *terminal) (*topicView, error) {
	if !s.top.table {
		return nil, nil
	}
	for _, w := range []struct {
		chosen bool
		name   string
	}{
		{s.output != "text", "-o " + s.output},
		{s.format != "", "-F"},
		{s.jq != nil, "--jq"},
		{s.template != nil, "--template"},
		{s.diff, "--diff"},
		{s.watch, "--watch"},
		{s.messageRate, "--message-rate"},
		{s.debug && t.errTTY, "-d on a terminal"},
	} {
		if w.chosen {
			return nil, usagef("--table and %s exclude each other", w.name)
		}
	}
	v := newTopicView(s, t, subColumns())
	v.view.By = traffic.ByTopic
	return v, nil
}

// tabulate enters a message in the table; x is nil where nothing looked into it.
func (sub *subscriber) tabulate(m *client.Message, now time.Time, x *sight) {
	var value []byte
	if x != nil && x.fits {
		sub.out.tell(x)
		value = x.readable()
	}
	sub.table.enter(now, m, value)
}
