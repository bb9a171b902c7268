// Soak runs the program for a long time under mixed load: HTTP/1.1 and HTTP/2, large
// and small bodies, uploads, websockets, clients that leave, a website that is killed
// and started again, and a reload every ten seconds. Every body says which request it
// is for, so that one that reaches another request is found. `make soak` runs it.
package main
