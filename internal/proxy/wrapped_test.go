package proxy

import "testing"

func TestTopicsWithinOthersAreFound(t *testing.T) {
	for topic, wrap := range map[string]string{
		"a/b": "", "$SYS/a": "", "$queue/a/b": "$queue/", "$exclusive/+/a": "$exclusive/", "$delayed/5/a": "$delayed/5/",
		"$share/g/$queue/#": "$share/g/$queue/", "$queue/$SYS/a": "$queue/", "$queue//a": "$queue/",
		"$queue": "", "$queue/": "", "$delayed/5": "", "$delayed/5/": "", "$queues/a": "", "": "",
	} {
		if got, inner := Wrapped(topic); got != wrap || got+inner != topic {
			t.Errorf("%q: %q before %q, want %q", topic, got, inner, wrap)
		}
	}
}
