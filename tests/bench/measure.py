"""What training.py and training_jax.py measure and print, as training.c does."""
import resource
import time


def report(step, threads, seconds):
    for _ in range(3):
        step()
    clock = time.process_time if threads == 1 else time.perf_counter  # of the processor, which other load disturbs least
    took, end = [], clock() + seconds
    while len(took) < 7 or (clock() < end and len(took) < 300):
        start = clock()
        step()
        took.append(clock() - start)
    print(f"{sorted(took)[len(took) // 2]:.9f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}")
