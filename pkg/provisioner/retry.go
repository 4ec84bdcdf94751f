package provisioner

import (
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// retry paces the attempts at one thing: the delay doubles from two seconds to
// five minutes, with a quarter of jitter. Another goal starts it afresh, so a
// corrected spec is tried at once. Its zero value is ready to use.
type retry struct {
	goal     string
	failures int
	next     time.Time
	// reason and message tell what came of the last attempt.
	reason, message string
}

const (
	retryLeast = 2 * time.Second
	retryMost  = 5 * time.Minute
)

// wait is how long to hold the attempt at goal back; 0 is not at all.
func (r *retry) wait(goal string, now time.Time) time.Duration {
	if r.goal != goal {
		return 0
	}
	return max(r.next.Sub(now), 0)
}

// tried notes an attempt at goal that has to be paced, and returns the delay
// until the next.
func (r *retry) tried(goal string, now time.Time) time.Duration {
	if r.goal != goal {
		*r = retry{goal: goal}
	}
	delay := retryMost
	if r.failures < 8 {
		delay = min(retryLeast<<r.failures, retryMost)
	}
	r.failures++
	delay = wait.Jitter(delay, 0.25)
	r.next = now.Add(delay)
	return delay
}

// failed notes a failed attempt at goal, and returns the step's result.
func (r *retry) failed(goal, reason, message string, now time.Time) result {
	again := r.tried(goal, now)
	r.reason, r.message = reason, message
	return failed(reason, message, again)
}

// last is the result of the last attempt, while the next is held back.
func (r *retry) last(hold time.Duration) result { return failed(r.reason, r.message, hold) }
