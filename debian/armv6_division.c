/*
 * Division for an ARMv6 processor, which has no instruction for it. The compiler calls these names
 * (Run-time ABI for the Arm Architecture, 4.3.1); Debian's libgcc has them as ARMv7 code, which an
 * ARMv6 processor does not know. Linked into the module for armhf, and seen by nobody else.
 */
#include <stdint.h>

__attribute__((visibility("hidden"))) uint32_t __aeabi_uidiv(uint32_t numerator, uint32_t divisor);
__attribute__((visibility("hidden"))) uint64_t __aeabi_uidivmod(uint32_t numerator,
                                                                uint32_t divisor);

/* Quotient in r0 and remainder in r1, which is what a 64-bit result is returned in. */
uint64_t __aeabi_uidivmod(uint32_t numerator, uint32_t divisor)
{
    uint32_t quotient = 0, remainder = 0;

    for (int bit = 31; bit >= 0; bit--) {
        uint32_t carry = remainder >> 31;

        remainder = remainder << 1 | (numerator >> bit & 1);
        if (carry || remainder >= divisor) {
            remainder -= divisor;
            quotient |= (uint32_t)1 << bit;
        }
    }
    return (uint64_t)remainder << 32 | quotient;
}

uint32_t __aeabi_uidiv(uint32_t numerator, uint32_t divisor)
{
    return (uint32_t)__aeabi_uidivmod(numerator, divisor);
}
