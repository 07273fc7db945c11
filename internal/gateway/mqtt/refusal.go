package mqtt

import (
	"context"
	"log/slog"
	"time"
)

// refusalPause is how often a connection may tell the log of what it is refused.
const refusalPause = time.Minute

// refusals keeps a client that is refused a thousand messages from filling the
// log: one line says so, and those that follow are counted for the next.
type refusals struct {
	told  time.Time // when the last line was written
	since int       // refused without a line
}

// refused logs that what, a publish or a subscription, is refused on topic: at
// info once in refusalPause, and at debug otherwise.
func (c *conn) refused(what, topic string, err error) {
	level, more := slog.LevelDebug, c.refusals.since
	if c.refusals.told.IsZero() || c.lastRead.Sub(c.refusals.told) >= refusalPause {
		level = slog.LevelInfo
		c.refusals = refusals{told: c.lastRead}
	} else {
		c.refusals.since++
	}
	if !c.g.cfg.Logger.Enabled(context.Background(), level) {
		return
	}
	c.log().Log(context.Background(), level, "request refused", "what", what, "topic", clip(topic), "err", err, "more_before", more)
}

// tellRefusals logs at the end of a connection what no line has told.
func (c *conn) tellRefusals() {
	if n := c.refusals.since; n > 0 {
		c.log().Info("more was refused", "count", n)
	}
}
