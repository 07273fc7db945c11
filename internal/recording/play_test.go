package recording

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestTimesAreKept(t *testing.T) {
	recorded := []time.Duration{0, time.Second, 1500 * time.Millisecond, 61 * time.Second, 61 * time.Second}
	for _, tt := range []struct {
		name  string
		clock Clock
		want  []time.Duration
	}{
		{"as recorded", Clock{}, []time.Duration{0, time.Second, 1500 * time.Millisecond, 61 * time.Second, 61 * time.Second}},
		{"ten times", Clock{Speed: 10}, []time.Duration{0, 100 * time.Millisecond, 150 * time.Millisecond, 6100 * time.Millisecond, 6100 * time.Millisecond}},
		{"half", Clock{Speed: .5}, []time.Duration{0, 2 * time.Second, 3 * time.Second, 122 * time.Second, 122 * time.Second}},
		{"at once", Clock{Speed: math.Inf(1)}, make([]time.Duration, 5)},
		{"short pauses", Clock{MaxPause: 2 * time.Second}, []time.Duration{0, time.Second, 1500 * time.Millisecond, 3500 * time.Millisecond, 3500 * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				for round := range 2 { // the second begins where the first has ended
					for i, d := range recorded {
						late, err := tt.clock.Wait(t.Context(), at(d))
						want := time.Duration(round)*tt.want[4] + tt.want[i]
						if got := time.Since(start); got != want || late != 0 || err != nil {
							t.Errorf("round %d, message %d: after %v, %v late, %v, want %v", round, i, got, late, err, want)
						}
					}
					tt.clock.Again()
				}
			})
		})
	}
}

// What takes longer than the pauses is caught up with, and told.
func TestLatenessIsMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		var lag Lag
		start := time.Now()
		for i := range 10 {
			late, err := c.Wait(t.Context(), at(time.Duration(i)*time.Second))
			if err != nil {
				t.Fatal(err)
			}
			lag.Note(late)
			if i == 2 {
				time.Sleep(4*time.Second + 500*time.Millisecond) // the broker takes nothing
			}
		}
		if want := (Lag{Late: 4, Latest: 3500 * time.Millisecond}); lag != want {
			t.Errorf("%+v, want %+v", lag, want)
		}
		if got := time.Since(start); got != 9*time.Second {
			t.Errorf("%v in all", got)
		}
	})
}

func TestMessagesWithoutATimeAreDueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Clock
		start := time.Now()
		for _, recorded := range []time.Time{{}, at(0), {}, at(-time.Hour), at(time.Second)} {
			if _, err := c.Wait(t.Context(), recorded); err != nil {
				t.Fatal(err)
			}
		}
		if got := time.Since(start); got != time.Second {
			t.Errorf("%v", got)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := c.Wait(ctx, at(time.Hour)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestRewrite(t *testing.T) {
	for _, tt := range []struct{ rule, topic, want string }{
		{"a/b=c", "a/b", "c"},
		{"a/b=c", "a/b/c", ""},
		{"site/+/#=test/+/#", "site/1/temp/x", "test/1/temp/x"},
		{"site/+/#=test/+/#", "site/1", "test/1"},
		{"site/+/#=test/+/x/#", "site/1", "test/1/x"},
		{"site/#=#", "site/1/2", "1/2"},
		{"#=all/#", "a/b", "all/a/b"},
		{"#=all/#", "a", "all/a"},
		{"#=all", "a/b", "all"},
		{"#=all/#", "$SYS/x", ""},
		{"$SYS/#=sys/#", "$SYS/x", "sys/x"},
		{"+/+/temp=$2/$1", "a/b/temp", "b/a"},
		{"+/b/+=+/$2$1/+", "x/b/y", "x/yx/y"},
		{"+/x=$SYS/+", "a/x", "$SYS/a"},
		{"a//#=b//#", "a//c", "b//c"},
		{"ü/+=ß/+", "ü/é", "ß/é"},
		{`a\=b=c=d`, "a=b", "c=d"},
		{"prefix:old/=new/", "old/x", "new/x"},
		{"prefix:old/=new/", "older/x", ""},
		{"prefix:old/=", "old/x", "x"},
		{`regex:^dev-(\d+)/(.*)$=d/$1/$2`, "dev-17/temp", "d/17/temp"},
		{`regex:^dev-(\d+)/(.*)$=d/$1/$2`, "device", ""},
		{`regex:[0-9]+=N`, "a1/b22", "aN/bN"},
	} {
		r, err := ParseRewrite(tt.rule)
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		got, ok := r.Apply(tt.topic)
		if ok != (tt.want != "") || ok && got != tt.want {
			t.Errorf("%s of %q: %q, %v, want %q", tt.rule, tt.topic, got, ok, tt.want)
		}
	}
	for _, bad := range []string{"", "a", "=b", "a/b+=c", "a/#/b=c", "a=+", "+=#", "+=$2", "regex:(=x", "+=+/+"} {
		if _, err := ParseRewrite(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("site/+/#=test/+/#", "site/1/2")
	f.Add("regex:(.)=$1$1", "a/b")
	f.Fuzz(func(t *testing.T, rule, topic string) {
		r, err := ParseRewrite(rule)
		if err != nil {
			return
		}
		if now, ok := r.Apply(topic); !ok && r.prefix == nil && now != topic {
			t.Errorf("%q of %q: %q", rule, topic, now)
		}
	})
}

func TestChoice(t *testing.T) {
	message := func(i int, topic string) *Message {
		return &Message{Time: at(time.Duration(i) * time.Second), Topic: topic}
	}
	moment := func(s string) Moment {
		m, err := ParseMoment(s)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		choice Choice
		want   string
	}{
		{"all", Choice{}, "0123456789"},
		{"filters", Choice{Filters: []string{"even/#", "odd/3"}}, "023468"},
		{"left out", Choice{Out: []string{"even/+"}}, "13579"},
		{"both", Choice{Filters: []string{"#"}, Out: []string{"+/3"}}, "012456789"},
		{"from", Choice{From: moment("3")}, "3456789"},
		{"from and to", Choice{From: moment("2s"), To: moment("5s")}, "234"},
		{"absolute", Choice{From: moment("2026-05-04T03:02:03.5Z"), To: moment("2026-05-04T03:02:05+00:00")}, "3"},
		{"skip and limit", Choice{Skip: 2, Limit: 3}, "234"},
		{"of the filtered", Choice{Filters: []string{"odd/#"}, Skip: 1, Limit: 2}, "35"},
	} {
		for range 2 {
			got := ""
			for i := range 10 {
				topic := "even/"
				if i%2 == 1 {
					topic = "odd/"
				}
				take, over := tt.choice.Take(message(i, topic+string(rune('0'+i))))
				if take {
					got += string(rune('0' + i))
				}
				if over {
					break
				}
			}
			if got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
			tt.choice.Again()
		}
	}
	if _, err := ParseMoment("yesterday"); err == nil {
		t.Error("yesterday is a moment")
	}
}
