// Package signin signs people in and out: the sign-in page with its form, the
// account page, sign-out, the question who is signed in, and the [Throttle]
// that slows down guessing.
package signin
